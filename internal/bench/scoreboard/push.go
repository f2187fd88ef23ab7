package main

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/docs"
	"github.com/tenterhook/tenterhook/internal/provider"
)

// mostCommits is how many commits GitHub lists of one push. A larger push is one whose commits touch
// more files, as merges and generated code do.
const mostCommits = 2048

// largePush is a signed push of many commits, of about size bytes. Around the
// commits it is GitHub's published example. No commit is like another: ids are hashes, which nothing
// makes smaller than half; texts are words of these pages in the order in which chance draws them,
// which repeats less than anybody writes; people and files come again as they do in a repository.
func largePush(path string, size int) shot {
	var frame map[string]json.RawMessage
	preset, _ := provider.Lookup("github")
	at := slices.IndexFunc(preset.Samples, func(s provider.Sample) bool { return s.Event == "push" })
	must(json.Unmarshal(preset.Samples[at].Body, &frame))
	h := newHistory()
	var commits []json.RawMessage
	left := size - len(encoded(frame))
	for n := 0; left > 0 && n < mostCommits; n++ {
		c := encoded(h.commit(left/(mostCommits-n), n))
		commits = append(commits, c)
		left -= len(c) + 1
	}
	frame["commits"] = encoded(commits)
	frame["head_commit"] = commits[len(commits)-1]
	body := string(encoded(frame))
	return shot{path: path, body: body, signature: signature(body)}
}

// history is the repository that is pushed to.
type history struct {
	chance *rand.Rand
	words  []string
	people []person
	files  [][]string // by folder
	at     time.Time
}

type person struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Username string `json:"username"`
}

// commit is one of a push, in GitHub's words and order.
type commit struct {
	ID        string   `json:"id"`
	TreeID    string   `json:"tree_id"`
	Distinct  bool     `json:"distinct"`
	Message   string   `json:"message"`
	Timestamp string   `json:"timestamp"`
	URL       string   `json:"url"`
	Author    person   `json:"author"`
	Committer person   `json:"committer"`
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Modified  []string `json:"modified"`
}

// The repository: some hundred people, and as many files as that of a larger company.
const (
	people       = 100
	folders      = 2000
	mostInFolder = 30
)

func newHistory() *history {
	h := &history{chance: rand.New(rand.NewPCG(2026, 11)), at: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	for _, name := range docs.Names() {
		text, _ := docs.Source(name)
		h.words = append(h.words, strings.FieldsFunc(string(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })...)
	}
	for n := range people {
		first, last := h.title(), h.title()
		name := strings.ToLower(first + "-" + last)
		h.people = append(h.people, person{first + " " + last, fmt.Sprintf("%d+%s@users.noreply.github.com", 1000+h.chance.IntN(90_000_000), name), fmt.Sprintf("%s%d", name, n)})
	}
	for range folders {
		folder := ""
		for range 1 + h.chance.IntN(5) {
			folder += strings.ToLower(h.word()) + "/"
		}
		var files []string
		for range 1 + h.chance.IntN(mostInFolder) {
			ending := []string{".go", "_test.go", ".ts", ".tsx", ".py", ".md", ".yaml", ".json", ".sql"}[h.chance.IntN(9)]
			files = append(files, folder+strings.ToLower(h.word()+"_"+h.word())+ending)
		}
		slices.Sort(files)
		h.files = append(h.files, slices.Compact(files))
	}
	return h
}

// commit makes the nth. It touches as many files as it takes to come to size bytes or more.
func (h *history) commit(size, n int) commit {
	h.at = h.at.Add(time.Duration(h.chance.IntN(20_000)) * time.Second)
	zone := time.FixedZone("", []int{0, 3600, 7200, 19_800, -14_400, -25_200}[h.chance.IntN(6)])
	id := hash("commit", n)
	c := commit{
		ID: id, TreeID: hash("tree", n), Distinct: h.chance.IntN(20) > 0, Message: h.message(), Timestamp: h.at.In(zone).Format(time.RFC3339),
		URL: "https://github.com/Codertocat/Hello-World/commit/" + id, Author: h.people[h.chance.IntN(people)],
		Added: []string{}, Removed: []string{}, Modified: []string{},
	}
	c.Committer = c.Author
	if h.chance.IntN(3) > 0 {
		c.Committer = person{"GitHub", "noreply@github.com", "web-flow"}
	}
	touched := 1 + h.chance.IntN(6)
	for written := 600; touched > 0 || written < size+100; touched-- { // those that are there twice are taken out again
		folder := h.files[h.chance.IntN(folders)]
		for range 1 + h.chance.IntN(3) {
			file := folder[h.chance.IntN(len(folder))]
			list := []*[]string{&c.Added, &c.Modified, &c.Modified, &c.Modified, &c.Removed}[h.chance.IntN(5)]
			*list = append(*list, file)
			written += len(file) + 3
		}
	}
	for _, list := range []*[]string{&c.Added, &c.Removed, &c.Modified} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return c
}

// message is a line, with the number of a pull request in most, and in some a text and who signed it off.
func (h *history) message() string {
	text := h.title() + h.sentence(3+h.chance.IntN(7))
	if h.chance.IntN(3) > 0 {
		text += fmt.Sprintf(" (#%d)", 1+h.chance.IntN(20_000))
	}
	if h.chance.IntN(5) > 1 {
		return text
	}
	text += "\n\n"
	for range 1 + h.chance.IntN(4) {
		text += h.title() + h.sentence(6+h.chance.IntN(18)) + ".\n"
	}
	who := h.people[h.chance.IntN(people)]
	return text + "\nSigned-off-by: " + who.Name + " <" + who.Email + ">"
}

func (h *history) word() string { return h.words[h.chance.IntN(len(h.words))] }

func (h *history) sentence(words int) (text string) {
	for range words {
		text += " " + h.word()
	}
	return text
}

// title is a word that begins with a capital.
func (h *history) title() string {
	word := h.word()
	return strings.ToUpper(word[:1]) + word[1:]
}

func hash(kind string, n int) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d", kind, n))
	return hex.EncodeToString(sum[:])
}

// encoded is v as GitHub sends it, without blanks.
func encoded(v any) json.RawMessage {
	text, err := json.Marshal(v)
	must(err)
	return text
}

// must ends the program on what is wrong with its own data.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
