package config

import (
	"math"
	"testing"
	"time"
)

func TestParseDuration_ReadsWhatPeopleWrite(t *testing.T) {
	const day = 24 * time.Hour
	for src, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "250ms": 250 * time.Millisecond, "90s": 90 * time.Second, "1.5h": 90 * time.Minute, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute,
		"14d": 14 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "1d12h": 36 * time.Hour, "500us": 500 * time.Microsecond, "1ns": 1,
		"106751d": 106751 * day, "15250w": 15250 * 7 * day,
	} {
		if got, ok := parseDuration(src); !ok || got != want {
			t.Errorf("%q: %v %t, want %v", src, got, ok, want)
		}
	}
	for _, src := range []string{
		"", "10", "-5s", "+5s", "5 s", " 5s", "5s ", "s", "d", "1dd", "2d1w", "1d-2s", "1d+2s", "1.5d", "1e3s", "0x10s", "1_0s", "infinity", "NaN", "1y", "1M", "1h 30m", "١s",
		"106752d", "15251w", "65535w", "65535w65535d", "15250w106751d", "99999999999999999999d", "2562048h", "9223372036s9223372036s", "-1d", "1d2562047h",
	} {
		if got, ok := parseDuration(src); ok {
			t.Errorf("%q was read as %v", src, got)
		}
	}
}

func TestParseSize_ReadsWhatPeopleWrite(t *testing.T) {
	for src, want := range map[string]int64{
		"0": 0, "0B": 0, "1": 1, "1B": 1, "64KiB": 64 << 10, "1MiB": 1 << 20, "3GiB": 3 << 30, "25MB": 25e6, "1kB": 1e3, "1KB": 1e3, "2GB": 2e9, "5 MiB": 5 << 20,
		"9223372036854775807": math.MaxInt64, "8589934591GiB": 8589934591 << 30,
	} {
		if got, ok := parseSize(src); !ok || got != want {
			t.Errorf("%q: %d %t, want %d", src, got, ok, want)
		}
	}
	for _, src := range []string{"", "-1", "-0", "+1", "1.5MiB", "MiB", "B", "1TiB", "1mb", "1 M iB", "1e3", "0x10", "1_000", "9223372036854775808", "8589934592GiB", "9223372036854776kB", "99999999999999999999", "١"} {
		if got, ok := parseSize(src); ok {
			t.Errorf("%q was read as %d", src, got)
		}
	}
}

func TestDecode_NumbersAreBounded(t *testing.T) {
	type spec struct {
		Int   int     `yaml:"int"`
		Small int32   `yaml:"small"`
		Float float64 `yaml:"float"`
	}
	for src, ok := range map[string]bool{
		"int: 9223372036854775807": true, "int: 9223372036854775808": false, "int: -9223372036854775808": true, "int: 1e3": false, "int: 0x10": false, "int: 1_000": false, "int: '5'": false,
		"int: 5.0": false, "int: true": false, "int: ''": false, "small: 2147483648": false, "small: 2147483647": true, "int: 0777": false, "int: +5": false, "int: 0": true, "int: -0": false,
		"float: 1e3": true, "float: .5": true, "float: 5": true, "float: 1e999": false, "float: .nan": false, "float: NaN": false, "float: .inf": false, "float: Inf": false, "float: '5'": false, "float: 0x1p-2": false,
	} {
		var d Diagnostics
		var got spec
		if parsed(t, src).Root.Decode(&got, &d) != ok {
			t.Errorf("%s: %+v %v", src, got, said(&d))
		}
	}
}

func TestDecode_BooleansAreTwoWords(t *testing.T) {
	for src, want := range map[string]string{
		"flag: true": "", "flag: false": "", "flag: True": "", "flag: yes": "write true", "flag: on": "write true", "flag: NO": "write false", "flag: off": "write false", "flag: 'true'": "", "flag: 1": "", "flag:": "",
	} {
		var d Diagnostics
		var got decodedFlag
		ok := parsed(t, src).Root.Decode(&got, &d)
		if ok != (src == "flag: true" || src == "flag: false") || got.Flag != (src == "flag: true") {
			t.Errorf("%s: %t %+v %v", src, ok, got, said(&d))
		}
		if all := d.All(); want != "" && (len(all) != 1 || len(all[0].Hints) != 1 || all[0].Hints[0] != want) {
			t.Errorf("%s: %+v, want the hint %q", src, all, want)
		}
	}
}

type decodedFlag struct {
	Flag bool `yaml:"flag"`
}
