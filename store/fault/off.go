//go:build !fault || !linux

package fault

import "io"

// Point is where a test may end the process.
func Point(string) {}

// WriteAt writes p to f at off, with a point in its middle.
func WriteAt(f io.WriterAt, p []byte, off int64, _ string) (int, error) { return f.WriteAt(p, off) }
