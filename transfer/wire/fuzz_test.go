package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzParse feeds bodies. What parses must come out the same when it is written and read again, and byte for byte so but for
// the fields of a hello that this version does not know.
func FuzzParse(f *testing.F) {
	for _, m := range samples(f) {
		frame, _ := whole(f, m)
		if len(frame) < 1<<10 {
			f.Add(body(f, frame))
		}
	}
	f.Add(raw(frameHello, field(0, root(f).Bytes()), field(9, []byte("later"))))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Parse(in)
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) || wrong.Kind == Misuse {
				t.Fatalf("error %v is not the peer's", err)
			}
			return
		}
		frame, err := Append(nil, m)
		if err != nil {
			t.Fatalf("append what was parsed, %.200v: %v", m, err)
		}
		n, used := uvarint(frame)
		again := frame[used:]
		if d, ok := m.(Data); ok {
			again = append(again, in[len(in)-size(d):]...)
		}
		if _, hello := m.(Hello); !hello && (!bytes.Equal(again, in) || int(n) != len(in)) {
			t.Fatalf("%x parses as %.200v, which is written as %x", in, m, again)
		}
		if back, err := Parse(again); err != nil || !alike(back, m) {
			t.Fatalf("%.200v comes back as %.200v, %v", m, back, err)
		}
	})
}

// FuzzReader feeds streams: nothing panics, hangs or yields more than it was given, and a stream cut into single bytes
// says the same.
func FuzzReader(f *testing.F) {
	var all []Message
	for _, m := range samples(f) {
		switch m := m.(type) {
		case Hello, Bye:
		case Data:
			if size(m) < 200 {
				all = append(all, m)
			}
		default:
			if b, err := Append(nil, m); err == nil && len(b) < 200 {
				all = append(all, m)
				f.Add(stream(f, m))
			}
		}
	}
	f.Add(stream(f, append(all, Bye{})...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		one, errOne := listen(t, bytes.NewReader(in))
		two, errTwo := listen(t, slow{bytes.NewReader(in)})
		if errOne.Error() != errTwo.Error() || len(one) != len(two) {
			t.Fatalf("whole: %d messages, %v; byte by byte: %d, %v", len(one), errOne, len(two), errTwo)
		}
	})
}

type slow struct{ r io.Reader }

func (s slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(1, len(p))]) }

// listen reads until the stream ends, and takes every second payload.
func listen(t *testing.T, r io.Reader) (kinds []frame, err error) {
	in := NewReader(r)
	for {
		m, err := in.Next()
		if err != nil {
			return kinds, err
		}
		kinds = append(kinds, m.frame())
		if d, ok := m.(Data); ok && len(kinds)%2 == 0 {
			if err := in.Payload(make([]byte, size(d))); err != nil {
				return kinds, err
			}
		}
		if len(kinds) > 1<<20 {
			t.Fatal("it never ends")
		}
	}
}
