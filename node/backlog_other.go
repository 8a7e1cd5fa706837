//go:build !linux

package node

import "net"

func limitSending(net.Conn, int, float64) {}

func sending(net.Conn) (progress, bool) { return progress{}, false }
