package node

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestSendingIsSeen sends over loopback, and looks at what the kernel says of it.
func TestSendingIsSeen(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	read := make(chan error, 1)
	const size = 1 << 20
	go func() {
		c, err := listener.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.CopyN(io.Discard, c, size)
		}
		read <- err
		_, _ = c.Read(make([]byte, 1)) // until the other side has looked
	}()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before, ok := sending(c)
	if !ok {
		t.Fatal("the kernel says nothing")
	}
	limitSending(c, littleAhead, 4e6)
	begun := time.Now()
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the other side to have it all", func() bool {
		after, ok := sending(c)
		return ok && after.acked-before.acked >= size
	})
	after, _ := sending(c)
	took := after.at.Sub(begun)
	if took < 100*time.Millisecond { // a quarter of a second at least, but for what it takes at once
		t.Errorf("1 MiB at 4 MB/s took %v", took)
	}
	if busy := after.busy - before.busy; busy < took/4 || busy > took*2 {
		t.Errorf("something was under way for %v of %v", busy, took)
	}
	if after.trip <= 0 || after.trip > nearby {
		t.Errorf("the shortest round trip on loopback took %v", after.trip)
	}
	limitSending(c, muchAhead, 0)
}
