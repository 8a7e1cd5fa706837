package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mdp/qrterminal/v3"
)

// quietZone is the width of the blank frame around a QR code, in its squares. The standard has four; readers do with two.
const quietZone = 2

// qrCode draws a ticket with half blocks, light on dark: two squares of the code to a character. In upper case a QR code takes
// a third less room for it.
func qrCode(ticket string) string {
	var b strings.Builder
	qrterminal.GenerateWithConfig(strings.ToUpper(ticket), qrterminal.Config{
		Level: qrterminal.L, Writer: &b, HalfBlocks: true, QuietZone: quietZone,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE,
		WhiteBlackChar: qrterminal.WHITE_BLACK, BlackWhiteChar: qrterminal.BLACK_WHITE,
	})
	return b.String()
}

// printQR draws the ticket below what was printed, where it fits.
func (a *app) printQR(ticket string) error {
	code := qrCode(ticket)
	first, _, _ := strings.Cut(code, "\n")
	if need, columns := utf8.RuneCountInString(first), a.columns(); a.onTerminal(a.out) && need > columns {
		a.remark("the QR code needs %d columns, and the terminal has %d: make it wider, or its letters smaller", need, columns)
		return nil
	}
	_, err := io.WriteString(a.out, code)
	return err
}

func (a *app) columns() int {
	columns, _ := terminalSize(a.out)
	return columns
}

// checkQR refuses a drawing among JSON.
func (a *app) checkQR(qr bool) error {
	if qr && a.json {
		return fmt.Errorf("--qr draws for people: leave it or --json away")
	}
	return nil
}
