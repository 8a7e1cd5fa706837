package content

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// keystream is the endless ChaCha20 keystream of a seed, which the vectors of the profile are made of. It is written out here
// because a gigabyte of it is made in every run of the tests, which with the race detector looking on would take half a minute.
type keystream string

func (k keystream) ReadAt(p []byte, at int64) (int, error) {
	key := sha256.Sum256([]byte(k))
	s := [16]uint32{0: 0x61707865, 1: 0x3320646e, 2: 0x79622d32, 3: 0x6b206574}
	for i := range 8 {
		s[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	var block [64]byte
	for n := 0; n < len(p); {
		s[12] = uint32((at + int64(n)) / 64)
		skip := int(at+int64(n)) % 64
		if skip == 0 && len(p)-n >= 64 {
			chacha20(&s, (*[64]byte)(p[n:]))
			n += 64
			continue
		}
		chacha20(&s, &block)
		n += copy(p[n:], block[skip:])
	}
	return len(p), nil
}

// chacha20 makes one block (RFC 8439, section 2.3).
//
//go:norace
func chacha20(s *[16]uint32, out *[64]byte) {
	x0, x1, x2, x3, x4, x5, x6, x7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	x8, x9, x10, x11, x12, x13, x14, x15 := s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15]
	for range 10 {
		x0, x4, x8, x12 = quarter(x0, x4, x8, x12)
		x1, x5, x9, x13 = quarter(x1, x5, x9, x13)
		x2, x6, x10, x14 = quarter(x2, x6, x10, x14)
		x3, x7, x11, x15 = quarter(x3, x7, x11, x15)
		x0, x5, x10, x15 = quarter(x0, x5, x10, x15)
		x1, x6, x11, x12 = quarter(x1, x6, x11, x12)
		x2, x7, x8, x13 = quarter(x2, x7, x8, x13)
		x3, x4, x9, x14 = quarter(x3, x4, x9, x14)
	}
	for i, x := range [16]uint32{x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15} {
		binary.LittleEndian.PutUint32(out[4*i:], x+s[i])
	}
}

//go:norace
func quarter(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d = bits.RotateLeft32(d^a, 16)
	c += d
	b = bits.RotateLeft32(b^c, 12)
	a += b
	d = bits.RotateLeft32(d^a, 8)
	c += d
	b = bits.RotateLeft32(b^c, 7)
	return a, b, c, d
}
