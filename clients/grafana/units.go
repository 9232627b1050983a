package grafana

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// unitTexts has a line for each text that Grafana's units are shown with, and
// the ids of those units.
const unitTexts = `
% percent
B bytes decbytes
KiB kbytes deckbytes
MiB mbytes decmbytes
GiB gbytes decgbytes
bit bits decbits
B/s Bps binBps decBps
bit/s bps binbps
packets/s pps
s s dtdurations dthms clocks
ms ms dtdurationms clockms
µs µs
ns ns
min m
h h
d d
req/s reqps
reads/s rps
writes/s wps
ops/s ops
IO/s iops
1/s cps
messages/s mps
events/s eps
records/s recps
req/min reqpm
ops/min opm
reads/min rpm
writes/min wpm
1/min cpm
Hz hertz rothz
°C celsius
°F fahrenheit
V volt
A amp
W watt
J joule
Wh watth
$ currencyUSD
€ currencyEUR
£ currencyGBP
¥ currencyJPY
`

// unitText is the text of one of Grafana's units, cut to maxUnit.
func unitText(id string) (text string, known bool) {
	switch id {
	case "", "none", "short", "string", "locale", "sishort", "percentunit", "bool", "number":
		return "", true
	}
	for line := range strings.Lines(unitTexts) {
		if fields := strings.Fields(line); len(fields) > 1 && slices.Contains(fields[1:], id) {
			return fields[0], true
		}
	}
	for _, custom := range []string{"suffix:", "si:", "count:"} {
		if s, ok := strings.CutPrefix(id, custom); ok {
			return clean(s, maxUnit), true
		}
	}
	return clean(id, maxUnit), false
}

const maxUnit = 32

// scaledUnits are units of which a factor makes another: 8 bits are a byte. What a query gives without its factor has the
// second unit, when the factor is that number.
const scaledUnits = `
bit B 8
bit/s B/s 8
ms s 1000
µs s 1e6
ns s 1e9
µs ms 1000
s ms 0.001
min s 0.016666666666666666
h s 0.0002777777777777778
KiB B 0.0009765625
MiB B 9.5367431640625e-07
GiB B 9.313225746154785e-10
req/min req/s 60
ops/min ops/s 60
1/min 1/s 60
`

// unitOf is the unit of a query's values, which differ from Grafana's by a factor.
func (d *display) unitOf(q translated) (unit, note string) {
	text, known := unitText(d.unit)
	switch {
	case q.factor != 1:
		return unitWithout(text, q.factor)
	case d.unit == "percentunit":
		return "", "a value of 0.5 is 50 %"
	case !known:
		note = fmt.Sprintf("the unit %s of Grafana is shown as it is written", d.unit)
	}
	return text, note
}

// unitWithout is the unit of values from which a factor was left out.
func unitWithout(text string, factor float64) (unit, note string) {
	if text == "%" && factor == 100 {
		return "", "a value of 0.5 is 50 %, the factor 100 is left out"
	}
	for line := range strings.Lines(scaledUnits) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != text {
			continue
		}
		if by, err := strconv.ParseFloat(f[2], 64); err == nil && math.Abs(by/factor-1) < 1e-9 {
			return f[1], fmt.Sprintf("in %s in place of %s, without the factor %s", f[1], text, strconv.FormatFloat(factor, 'g', 6, 64))
		}
	}
	return "", "" // The condition of the factor has it.
}

// scale makes a number of Grafana's scale one of the query's.
func scale(x float64, q translated) float64 {
	// Twelve digits, so that 80/0.1 does not read 800.0000000000001.
	y, err := strconv.ParseFloat(strconv.FormatFloat(x/q.factor, 'g', 12, 64), 64)
	if err != nil {
		return math.NaN()
	}
	return y
}
