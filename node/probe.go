package node

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// probeProtocol measures the path to a peer. The asker says what it wants in one byte, the other one says in one byte whether it
// will, and then
//
//	echo  the asker sends eight bytes and gets them back, up to maxEchoes times
//	down  the other one sends pieces (length, bytes) until the limits, then length 0 and a report
//	up    the asker sends the same pieces, then length 0, and gets a report
//
// A report is two unsigned varints: how much of one core the process used meanwhile, in thousandths, plus one; and how fast
// its disk writes, in bytes a second. 0 means that it does not know.
const probeProtocol = "/shoal/probe/1"

const (
	probeEcho = 'e'
	probeDown = 'd'
	probeUp   = 'u'

	probeYes     = 'y'
	probeBusy    = 'b' // somebody else is measuring, or has done so often of late
	probeLimited = 'l' // its user limits how fast it may send or receive
)

// A probe makes a node send for no use, so it is short, and there are few.
const (
	probeBytes   = 128 << 20       // in one direction
	probeTime    = 2 * time.Second // of sending
	probeTimeout = 10 * time.Second
	probePiece   = 64 << 10 // bytes
	maxEchoes    = 16
	probesEvery  = time.Minute // in which a node takes part in
	maxProbes    = 6           // of them, one at a time: three for each who measures
	diskFresh    = 10 * time.Minute
	maxDiskRate  = 1 << 40 // bytes a second, to be believed

	maxProbeStreams     = 8
	maxProbePeerStreams = 2
)

var (
	errProbe        = errors.New("not how a path is measured")
	errProbeBusy    = errors.New("it is being measured by somebody else, or has been several times in the last minute")
	errProbeLimited = errors.New("its user limits how fast it may send or receive")
)

// probes bounds what others can have measured here.
type probes struct {
	mu    sync.Mutex // guards the rest
	busy  bool
	since time.Time
	n     int

	diskAt   time.Time
	diskRate float64
}

func (p *probes) begin(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= probesEvery {
		p.since, p.n = now, 0
	}
	if p.busy || p.n >= maxProbes {
		return false
	}
	p.busy = true
	p.n++
	return true
}

func (p *probes) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
}

// disk is how fast the disk of the home writes, measured now and then.
func (n *Node) diskRate(ctx context.Context) float64 {
	p := &n.probes
	p.mu.Lock()
	fresh, r := time.Since(p.diskAt) < diskFresh, p.diskRate
	p.mu.Unlock()
	if fresh {
		return r
	}
	d, err := n.store.TryDisk(ctx)
	if err != nil {
		d.Write = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.diskAt, p.diskRate = time.Now(), d.Write
	return d.Write
}

// beProbed lets others measure the path to this node until ctx ends.
func (n *Node) beProbed(ctx context.Context) {
	n.host.SetStreamHandler(probeProtocol, func(s network.Stream) {
		if err := n.answerProbe(ctx, s); err != nil {
			_ = s.Reset()
			n.config.Log.Debug("probe", "peer", s.Conn().RemotePeer(), "err", err)
			return
		}
		_ = s.Close()
	})
	defer n.host.RemoveStreamHandler(probeProtocol)
	<-ctx.Done()
}

func (n *Node) answerProbe(ctx context.Context, s network.Stream) error {
	_ = s.SetDeadline(time.Now().Add(probeTimeout))
	if err := s.Scope().SetService("shoal.probe"); err != nil {
		return err
	}
	var kind [1]byte
	if _, err := io.ReadFull(s, kind[:]); err != nil {
		return err
	}
	say := func(b byte) error { _, err := s.Write([]byte{b}); return err }
	rates := n.config.Rates
	switch limited := !(rates.ExemptLAN && n.host.gater.onLAN(s.Conn())); {
	case limited && kind[0] == probeDown && rates.Up+rates.PeerUp > 0, limited && kind[0] == probeUp && rates.Down+rates.PeerDown > 0:
		return say(probeLimited)
	case !n.probes.begin(time.Now()):
		return say(probeBusy)
	}
	defer n.probes.end()
	disk := 0.0
	if kind[0] != probeEcho {
		disk = n.diskRate(ctx) // before the clock of the asker starts
	}
	if err := say(probeYes); err != nil {
		return err
	}
	load := startLoad()
	switch kind[0] {
	case probeEcho:
		return echo(s)
	case probeDown:
		if _, err := pump(s); err != nil {
			return err
		}
	case probeUp:
		if _, err := drain(bufio.NewReaderSize(s, probePiece)); err != nil {
			return err
		}
	default:
		return errProbe
	}
	_, err := s.Write(probeReport{load.share(), disk}.append(nil))
	return err
}

// echo sends back what comes, some times.
func echo(s io.ReadWriter) error {
	var b [8]byte
	for range maxEchoes {
		if _, err := io.ReadFull(s, b[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := s.Write(b[:]); err != nil {
			return err
		}
	}
	return nil
}

// pump sends pieces until the limits, and says that they are over.
func pump(w io.Writer) (sent int64, err error) {
	piece := binary.AppendUvarint(make([]byte, 0, probePiece+8), probePiece)
	piece = piece[:len(piece)+probePiece]
	for end := time.Now().Add(probeTime); sent+probePiece <= probeBytes && time.Now().Before(end); sent += probePiece {
		if _, err := w.Write(piece); err != nil {
			return sent, err
		}
	}
	_, err = w.Write([]byte{0})
	return sent, err
}

// drain reads pieces until they are over.
func drain(r *bufio.Reader) (received int64, err error) {
	for {
		n, err := binary.ReadUvarint(r)
		switch {
		case err != nil:
			return received, err
		case n == 0:
			return received, nil
		case n > probePiece || received+int64(n) > probeBytes:
			return received, errProbe
		}
		if _, err := r.Discard(int(n)); err != nil {
			return received, err
		}
		received += int64(n)
	}
}

// probeReport is what the other side knows of a measurement.
type probeReport struct {
	cpu  float64 // of one core, that its process used; negative if it does not know
	disk float64 // bytes a second that its disk writes; 0 if it does not know
}

func (r probeReport) append(dst []byte) []byte {
	cpu := uint64(0)
	if r.cpu >= 0 {
		cpu = uint64(r.cpu*1000) + 1
	}
	return binary.AppendUvarint(binary.AppendUvarint(dst, cpu), uint64(r.disk))
}

// readProbeReport reads a report. Whatever it claims is within reason.
func readProbeReport(r io.ByteReader) (out probeReport, err error) {
	cpu, err := binary.ReadUvarint(r)
	if err != nil {
		return out, err
	}
	disk, err := binary.ReadUvarint(r)
	if err != nil {
		return out, err
	}
	if cpu > 1000*1000 || disk > maxDiskRate {
		return out, fmt.Errorf("%w: a report of %d and %d", errProbe, cpu, disk)
	}
	return probeReport{float64(cpu)/1000 - 0.001, float64(disk)}, nil
}

// load is how much of one core this process uses from a moment on.
type load struct {
	at    time.Time
	used  time.Duration
	known bool
}

func startLoad() load {
	used, known := cpuTime()
	return load{time.Now(), used, known}
}

func (l load) share() float64 {
	used, known := cpuTime()
	if !known || !l.known {
		return -1
	}
	return (used - l.used).Seconds() / max(time.Since(l.at).Seconds(), 1e-6)
}

// ask opens a stream for one measurement.
func (n *Node) openProbe(ctx context.Context, p peerID, kind byte) (network.Stream, error) {
	s, err := n.host.NewStream(network.WithAllowLimitedConn(ctx, "measuring a path"), p, probeProtocol)
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(probeTimeout))
	answer := []byte{kind}
	if _, err = s.Write(answer); err == nil {
		_, err = io.ReadFull(s, answer)
	}
	if err == nil && answer[0] == probeYes {
		return s, nil
	}
	_ = s.Reset()
	switch {
	case err != nil:
		return nil, err
	case answer[0] == probeBusy:
		return nil, errProbeBusy
	case answer[0] == probeLimited:
		return nil, errProbeLimited
	}
	return nil, errProbe
}

// roundTrip is the shortest time of some that a few bytes take there and back.
func (n *Node) roundTrip(ctx context.Context, p peerID) (best time.Duration, err error) {
	s, err := n.openProbe(ctx, p, probeEcho)
	if err != nil {
		return 0, err
	}
	defer s.Reset() // all has been read, or nothing more is wanted
	var b [8]byte
	for range maxEchoes / 2 {
		start := time.Now()
		if _, err := s.Write(b[:]); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(s, b[:]); err != nil {
			return 0, err
		}
		if took := time.Since(start); best == 0 || took < best {
			best = took
		}
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	await(s)
	return best, nil
}

// await waits for the other side to close the stream: until then it takes part in this measurement, and refuses the next.
func await(r io.Reader) { _, _ = r.Read(make([]byte, 1)) }

// streamed is what one direction of a stream carried.
type streamed struct {
	rate  float64 // bytes a second
	ours  float64 // of one core, that this process used; negative if unknown
	other probeReport
}

// stream measures one direction.
func (n *Node) stream(ctx context.Context, p peerID, kind byte) (out streamed, err error) {
	s, err := n.openProbe(ctx, p, kind)
	if err != nil {
		return out, err
	}
	defer s.Reset() // all has been read, or nothing more is wanted
	in := bufio.NewReaderSize(s, probePiece)
	began, load := time.Now(), startLoad()
	var moved int64
	if kind == probeDown {
		moved, err = drain(in)
	} else {
		moved, err = pump(s)
	}
	if err != nil {
		return out, err
	}
	if out.other, err = readProbeReport(in); err != nil { // with which the other side has had everything
		return out, err
	}
	out.ours = load.share()
	defer await(in)
	out.rate = float64(moved) / max(time.Since(began).Seconds(), 1e-6)
	return out, nil
}
