//go:build linux && fault

package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Cut off from its power at each of the points, and at any other moment, a disk holds nothing partial under a final name and
// nothing that is believed and not there, and it has lost no more than it may.
//
// The disk is an image with ext4 on it, in a mount namespace that ends with this test. What ends it is the file system's own
// shutdown without a flush of its log: all that was not written yet is gone.
func TestPowerCutAtEachPoint(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		inOwnNamespace(t)
		return
	}
	t.Run("with the index on that disk", func(t *testing.T) { cutPower(t, "disk/home") })
	t.Run("with the index elsewhere", func(t *testing.T) { cutPower(t, "home") })
	t.Run("at the first start", cutFirstStarts)
}

func cutPower(t *testing.T, home string) {
	dir := t.TempDir()
	d := newDisk(t, dir)
	d.mount()
	c := newScene(t, d.at, filepath.Join(dir, home), filepath.Join(dir, "stock"))
	flush(d.at)
	random := seeded(t)
	for n := range rounds(t, "SHOAL_CUTS", 2*len(points)) {
		point, passing := choose(n, random)
		if c.maxLoss = fewBytes; n%2 == 0 {
			c.maxLoss = syncBytes // so much that nothing is on the disk before the end
		}
		c.cut(d, point, passing, time.Duration(random.IntN(800))*time.Millisecond)
		if t.Failed() {
			return
		}
	}
	c.finish()
}

func cutFirstStarts(t *testing.T) {
	dir := t.TempDir()
	d := newDisk(t, dir)
	d.mount()
	c := newScene(t, d.at, "", filepath.Join(dir, "stock"))
	for passing := range 10 {
		c.home = filepath.Join(d.at, "home", strconv.Itoa(passing))
		must(0, os.MkdirAll(c.home, 0o700))
		flush(d.at)
		c.cut(d, "K13", passing+1, 0)
	}
}

// names are the points around a final name.
var names = map[string]bool{"K9": true, "K10": true, "K11": true, "K12": true}

// cut runs a workload, cuts the power of its disk at a point, or after a while if there is none, and inspects what is left.
func (c *scene) cut(d *disk, point string, passing int, while time.Duration) {
	c.t.Helper()
	v := c.start(point, passing, "stop")
	c.fault += " and a power cut on " + d.options
	if point == "" {
		<-v.first
		time.Sleep(while)
		v.Process.Kill() // at the same moment: what it does with a disk that fails is another matter
	} else if status := v.await(c.t); !status.Stopped() {
		c.t.Fatalf("the workload, which waits for %s, ended by itself: %v\n%s", c.fault, status, &v.stderr)
	}
	end := time.Now()
	if names[point] && strings.Contains(d.options, "commit=1,") {
		time.Sleep(1500 * time.Millisecond) // so that the log, with names in it, is written before data that nobody synced
	}
	d.cut()
	v.Process.Kill()
	v.await(c.t)
	v.Process.Release()
	d.unmount()
	d.mount()
	c.inspect(v.ended(end), true)
}

// inNamespace is set in the process that has its own mount namespace.
const inNamespace = "SHOAL_STORE_NAMESPACE"

// inOwnNamespace runs this test in another process, whose mounts nobody else sees.
func inOwnNamespace(t *testing.T) {
	for _, program := range []string{"mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, "no power is cut here: there is no "+program)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch text := string(out); {
	case err != nil && !errors.As(err, &exit):
		missing(t, "no power is cut here: cannot have mounts of its own: "+err.Error())
	case err != nil:
		t.Fatalf("%s", text)
	case strings.Contains(text, "--- SKIP"):
		t.Skipf("%s", text)
	default:
		t.Logf("%s", text)
	}
}

// disk is a file with ext4 in it.
type disk struct {
	t         testing.TB
	image, at string // the file, and where it is mounted
	options   string
	isMounted bool
	mounts    int // so far
}

// diskOptions are tried in turn: how often the log is written by itself, and whether data must come before it.
var diskOptions = []string{
	"commit=5,data=ordered", "commit=5,data=writeback", "commit=1,data=ordered", "commit=1,data=writeback",
}

const diskSize = 400 << 20 // bytes

func newDisk(t testing.TB, dir string) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(dir, "image"), at: filepath.Join(dir, "disk")}
	must(0, os.Mkdir(d.at, 0o755))
	must(0, os.WriteFile(d.image, nil, 0o600))
	must(0, os.Truncate(d.image, diskSize))
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	t.Cleanup(d.unmount)
	return d
}

// mount mounts it with the next options.
func (d *disk) mount() {
	d.t.Helper()
	n := d.mounts
	d.options = diskOptions[n%len(diskOptions)]
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop,"+d.options, d.image, d.at).CombinedOutput(); err != nil {
		if n > 0 {
			d.t.Fatalf("mount after a power cut: %v\n%s", err, out)
		}
		missing(d.t, "no power is cut here: cannot mount an image: "+string(out))
	}
	d.isMounted = true
	d.mounts++
}

func (d *disk) unmount() {
	if !d.isMounted {
		return
	}
	d.isMounted = false
	if err := unix.Unmount(d.at, 0); err != nil {
		d.t.Errorf("unmount: %v", err)
		unix.Unmount(d.at, unix.MNT_DETACH)
	}
}

// cut has the file system end at once: nothing that was not written will be, not even its log.
func (d *disk) cut() {
	const (
		shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN
		noLogFlush = 2
	)
	f := must(os.Open(d.at))
	defer f.Close()
	how := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		d.t.Fatalf("shut the file system down: %v", errno)
	}
}
