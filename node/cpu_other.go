//go:build !unix

package node

import "time"

func cpuTime() (time.Duration, bool) { return 0, false }
