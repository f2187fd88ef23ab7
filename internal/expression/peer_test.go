package expression

import (
	"encoding/json"
	"os"
	"testing"
)

// TestAtAndText_LookUpAndWriteAsAdnanhWebhookDoes goes through that program's own tables; the
// file says where they are from.
func TestAtAndText_LookUpAndWriteAsAdnanhWebhookDoes(t *testing.T) {
	var data struct {
		Functions struct {
			Get []struct {
				Key    string
				Val    json.RawMessage
				Expect any
			} `json:"TestGetParameter"`
			Extract []struct {
				Params   json.RawMessage
				S, Value string
				OK       bool
			} `json:"extractParameterTests"`
		} `json:"function_cases"`
	}
	src, err := os.ReadFile("../migrate/adnanh/testdata/cases.json")
	if err == nil {
		err = json.Unmarshal(src, &data)
	}
	if err != nil || len(data.Functions.Get) < 10 || len(data.Functions.Extract) < 18 {
		t.Fatalf("the tables are not there: %v", err)
	}
	evaluate := func(src string, body json.RawMessage) any {
		v, err := mustCompile(t, src, Scope{}).Value(input(string(body)))
		if err != nil {
			t.Fatalf("%s of %s: %v", src, body, err)
		}
		return v
	}
	for _, c := range data.Functions.Get {
		want, err := json.Marshal(c.Expect)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(evaluate(`at(payload, "`+c.Key+`")`, c.Val))
		if err != nil || string(got) != string(want) {
			t.Errorf("at %s of %s is %s, want %s", c.Key, c.Val, got, want)
		}
	}
	for _, c := range data.Functions.Extract {
		got := evaluate(`text(at(payload, "`+c.S+`"))`, c.Params)
		if c.OK && got != c.Value || !c.OK && got != nil {
			t.Errorf("text of %s of %s is %v, want %q", c.S, c.Params, got, c.Value)
		}
	}
	for src, want := range map[string]any{
		`at([{"e": "x"}], "root.0.e")`:       "x", // a list that is the whole payload
		`at({"root": {"e": "x"}}, "root.e")`: "x", `at([1], "rooted")`: nil, `at([1], "1")`: nil,
		`at({"a.b": "x", "a": {"b": "y"}}, "a.b")`: "x", `at({"a": {"": "x"}}, "a.")`: "x", `at({"a": ["x"]}, "a.00")`: "x",
		`text(payload.price)`: "19.90", `text(payload.huge)`: "123456789012345678901234567890", `text({"b": 1, "a": "<&>"})`: `{"a":"\u003c\u0026\u003e","b":1}`,
		`fromJSON("{oops", 1)`: int64(1), `fromJSON({"a": 1}, 2)`: int64(2), `fromJSON(nil, 3)`: nil, `fromJSON("[4]", 5)[0]`: int64(4), `fromBase64(nil)`: nil,
		`text(nil) == ""`: false, `text(nil) matches ".*"`: false, `text(true)`: "true",
	} {
		if got := evaluate(src, json.RawMessage(sample)); got != want {
			t.Errorf("%s is %v, want %v", src, got, want)
		}
	}
}
