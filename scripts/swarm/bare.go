//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// flow is one direction between two machines.
type flow struct{ from, to *machine }

// bareStreams sends that many bytes over each flow at once, a TCP stream each and nothing above it, and returns the bytes a
// second that arrived over each. It is what the shaping lets through at best.
func bareStreams(ctx context.Context, bytes int64, flows ...flow) ([]float64, error) {
	rates := make([]float64, len(flows))
	group, ctx := errgroup.WithContext(ctx)
	for i, f := range flows {
		group.Go(func() (err error) {
			rates[i], err = f.stream(ctx, bytes)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("bare stream: %w", err)
	}
	return rates, nil
}

func (f flow) stream(ctx context.Context, bytes int64) (rate float64, err error) {
	sink, source, _, err := f.connect()
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { sink.Close(); source.Close() })
	defer func() { stop(); sink.Close(); source.Close() }()
	start := time.Now()
	go func() {
		buf := make([]byte, 256<<10)
		for left := bytes; left > 0; left -= int64(len(buf)) {
			if _, err := source.Write(buf[:min(left, int64(len(buf)))]); err != nil {
				break // the reader misses the bytes
			}
		}
		source.Close()
	}()
	if n, err := io.Copy(io.Discard, sink); err != nil || n != bytes {
		return 0, errors.Join(fmt.Errorf("%d of %d bytes came", n, bytes), err)
	}
	return float64(bytes) / time.Since(start).Seconds(), nil
}

// connect opens both ends of a connection, and says how long the opener waited for it: a round trip.
func (f flow) connect() (sink, source net.Conn, trip time.Duration, err error) {
	var l *net.TCPListener
	err = f.to.in(func() (err error) {
		l, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.ParseIP(f.to.ip)})
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	defer l.Close()
	if err := l.SetDeadline(time.Now().Add(graceful)); err != nil {
		return nil, nil, 0, err
	}
	err = f.from.in(func() (err error) {
		start := time.Now()
		defer func() { trip = time.Since(start) }()
		source, err = net.DialTimeout("tcp4", l.Addr().String(), graceful)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	sink, err = l.Accept()
	if err != nil {
		source.Close()
	}
	return sink, source, trip, err
}

// bareShare is the worst of the flows' parts of what their links carry.
func bareShare(ctx context.Context, bytes int64, link mbit, flows ...flow) (float64, error) {
	rates, err := bareStreams(ctx, bytes, flows...)
	if err != nil {
		return 0, err
	}
	share := slices.Min(rates) / link.bytes()
	fmt.Printf("bare TCP stream: %.3f of %v\n", share, link)
	return share, nil
}
