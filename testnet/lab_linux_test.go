package testnet

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func lab(t *testing.T) *Lab {
	t.Helper()
	if err := Lack(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("in CI this test must run, but %v", err)
		}
		t.Skip(err)
	}
	l, err := NewLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// udpEcho is told where it is heard from. The test binary runs it in a namespace: TestMain below.
const echoPort = "4000"

func perform(role string) {
	switch role {
	case "echo":
		echo()
	case "ask":
		askEcho(strings.Fields(os.Getenv("SHOAL_TESTNET_TO")))
	}
}

// echo answers each packet with the address that it came from.
func echo() {
	c, err := net.ListenPacket("udp4", ":"+echoPort)
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	for {
		var b [64]byte
		_, from, err := c.ReadFrom(b[:])
		if err != nil {
			panic(err)
		}
		_, _ = c.WriteTo([]byte(from.String()), from) // who asked asks again
	}
}

// askEcho prints the addresses that echoes see one socket at.
func askEcho(echoes []string) {
	c, err := net.ListenPacket("udp4", ":5000")
	if err != nil {
		panic(err)
	}
	for _, e := range echoes {
		to, err := net.ResolveUDPAddr("udp4", e)
		if err != nil {
			panic(err)
		}
		if _, err := c.WriteTo([]byte("?"), to); err != nil {
			panic(err)
		}
		var b [64]byte
		n, _, err := c.ReadFrom(b[:])
		if err != nil {
			panic(err)
		}
		fmt.Println(string(b[:n]))
	}
}

func play(t *testing.T, m *Machine, role, to string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := m.Command(self)
	cmd.Env = append(os.Environ(), "SHOAL_TESTNET_ROLE="+role, "SHOAL_TESTNET_TO="+to)
	return cmd
}

// TestNATsMapAsTheySay asks two machines where one inside socket seems to be.
func TestNATsMapAsTheySay(t *testing.T) {
	l := lab(t)
	var echoes []string
	for range 2 {
		m := must(l.Public())(t)
		cmd := play(t, m, "echo", "")
		out := must(cmd.StdoutPipe())(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		echoes = append(echoes, m.Addr.String()+":"+echoPort)
	}
	for kind, same := range map[NAT]bool{Cone: true, PortRestricted: true, Symmetric: false} {
		t.Run(string(kind), func(t *testing.T) {
			r := must(l.Router(kind))(t)
			inside := must(r.Inside())(t)
			out, err := play(t, inside, "ask", strings.Join(echoes, " ")).Output()
			if err != nil {
				t.Fatal(err)
			}
			seen := strings.Fields(string(out))
			if len(seen) != 2 || !strings.HasPrefix(seen[0], r.Addr.String()+":") || (seen[0] == seen[1]) != same {
				t.Errorf("seen from outside at %q, want the same address of %s twice: %v", seen, r.Addr, same)
			}
		})
	}
}
