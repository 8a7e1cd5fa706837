//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// leastTime is the least that a file of F bytes can take to reach n receivers, by the raw rates of the links: the seeder has
// to send it once, each receiver has to take it, and n copies have to leave somebody's uplink. Up is of all seeders together.
func leastTime(file int64, n int, up mbit, receiver mbit, receiverUp mbit) time.Duration {
	f := float64(file)
	seconds := max(f/up.bytes(), f/receiver.bytes(), float64(n)*f/(up.bytes()+float64(n)*receiverUp.bytes()))
	return time.Duration(seconds * float64(time.Second))
}

// median of at least one value.
func median[T float64 | time.Duration](values []T) T {
	s := slices.Clone(values)
	slices.Sort(s)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func seconds(t time.Duration) string { return fmt.Sprintf("%.2f s", t.Seconds()) }

func times(ratio float64) string { return fmt.Sprintf("%.2f ×", ratio) }

func percent(part float64) string { return fmt.Sprintf("%.2f %%", part*100) }

// rate is what moving that many bytes in that time comes to.
func rate(bytes int64, t time.Duration) mbit { return mbit(float64(bytes) * 8 / t.Seconds()) }

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
