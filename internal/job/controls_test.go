package job

import "testing"

func TestParseMoment_TimesAreReadAndShownAsTimesAndNumbersAsNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-28T15:00:00+01:00":       "2026-11-28T14:00:00Z",
		"2026-11-28T14:00:00.25Z":         "2026-11-28T14:00:00.25Z",
		"1969-12-31T23:59:59Z":            "1969-12-31T23:59:59Z",
		"7":                               "7",
		" 1764338400 ":                    "1764338400",
		"1764338400.5":                    "1764338400.5",
		"123456789012345678901.123456789": "123456789012345678901.123456789",
	} {
		moment, err := ParseMoment(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := momentText(moment); got != want {
			t.Errorf("%s is shown as %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "soon", "1e9", "0x10", "1/3", "2026-11-28"} {
		if moment, err := ParseMoment(text); err == nil {
			t.Errorf("%q is read as %q", text, moment)
		}
	}
}

func TestCompareMoments_ATimeStandsBetweenTheSecondsAroundIt(t *testing.T) {
	at, err := ParseMoment("2026-11-28T14:00:00.25Z")
	if err != nil {
		t.Fatal(err)
	}
	for other, want := range map[string]int{"1795874400": 1, "1795874401": -1, "1795874400.25": 0, "nothing": 1} {
		if got := CompareMoments(at, other); got != want {
			t.Errorf("compared with %s: %d, want %d", other, got, want)
		}
	}
}
