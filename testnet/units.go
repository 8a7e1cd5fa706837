package testnet

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	errRate     = errors.New("write a rate as 100Mbit, 20kbit, 5M, 1.5MiB (powers of 1024) or 2MB (of 1000), a second")
	errSize     = errors.New("write a size as 64MiB, 800k, 5M (powers of 1024) or 2MB (of 1000)")
	errDuration = errors.New("write a time as 500ms, 10s or 1m30s")
	errShare    = errors.New("write a share as 2% or 0.5%, from 0% to 100%")
	errTimes    = errors.New("write a multiple as 1.5x")
	errWhole    = errors.New("write a whole number")
)

// units are what may follow a number of bytes, in lower case, as with the flags of 'shoal serve'. A single letter is binary.
var units = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8,
}

// parseRate understands a number with a unit as bytes a second.
func parseRate(text string) (float64, error) {
	n, err := parseAmount(strings.TrimSuffix(strings.ToLower(text), "/s"))
	if err != nil {
		return 0, errRate
	}
	return n, nil
}

// parseSize understands a number with a unit as bytes.
func parseSize(text string) (int64, error) {
	text = strings.ToLower(text)
	n, err := parseAmount(text)
	if err != nil || strings.HasSuffix(text, "bit") || n != math.Trunc(n) || n >= math.MaxInt64 {
		return 0, errSize
	}
	return int64(n), nil
}

func parseAmount(text string) (float64, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	per, known := units[strings.TrimSpace(text[len(number):])]
	n, err := parseNumber(number)
	if !known || err != nil {
		return 0, errSize
	}
	return n * per, nil
}

// parseNumber understands digits with a point in them, and a sign before them.
func parseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "+-.0123456789") != "" {
		return 0, errWhole
	}
	return n, nil
}

func parseWhole(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return n, nil // the nearest, which every limit refuses
	}
	if err != nil {
		return 0, errWhole
	}
	return n, nil
}

func parseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errDuration
	}
	return d, nil
}

// parsePercent understands 5% as 0.05.
func parsePercent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	n, err := parseNumber(strings.TrimSpace(number))
	if !ok && n != 0 || err != nil || n < 0 || n > 100 {
		return 0, errShare
	}
	return n / 100, nil
}

// parseTimes understands 1.6x as 1.6.
func parseTimes(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "x")
	n, err := parseNumber(strings.TrimSpace(number))
	if !ok || err != nil {
		return 0, errTimes
	}
	return n, nil
}
