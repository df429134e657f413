//go:build bench

package bench

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// pictureSize is the default size, in pixels, as the benchmark names it.
const pictureSize = "320"

var benchmarkLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op`)

// TestPictures folds the benchmarks of the package picture, which only its own
// module can call, into the table.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		return
	}
	content, err := os.ReadFile(*pictures)
	if err != nil {
		t.Fatal(err)
	}
	took := map[string]float64{} // nanoseconds
	for line := range strings.Lines(string(content)) {
		if m := benchmarkLine.FindStringSubmatch(line); m != nil {
			took[m[1]], _ = strconv.ParseFloat(m[2], 64)
		}
	}
	whole, modules, library, step := took["Draw/png"], took["Modules"], took["GoQRCodePNG"], took["PNG/"+pictureSize]
	if whole == 0 || modules == 0 || library == 0 || step == 0 {
		t.Fatalf("the benchmarks of pictures are not complete: %v", took)
	}
	perSecond(t, "QR pictures (PNG, default size); floor: go-qrcode's own PNG", 1e9/whole, 1e9/library, "", noSync)
	perSecond(t, "QR pictures (PNG, default size); floor: go-qrcode's modules without a picture", 1e9/whole, 1e9/modules, "", noSync)
	figure(t, "our step's part of a picture: modules → PNG", fmt.Sprintf("%.1f %%", 100*step/whole), "≤ 10 %", noSync)
}
