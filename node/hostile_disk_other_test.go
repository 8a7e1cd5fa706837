//go:build !linux

package node

import "io/fs"

// allocated is what a file takes on disk at most, in bytes.
func allocated(info fs.FileInfo) int64 { return info.Size() }
