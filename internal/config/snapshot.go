package config

// Snapshot is what a configuration was read from: its files as they are written. References in
// them are not resolved; what they come to is looked up again when the snapshot is loaded.
type Snapshot struct {
	Files    map[string]string   `json:"files"`    // absolute path → content
	Included map[string][]string `json:"included"` // pattern of include: → the files it found
}

// Snapshot returns the files the configuration was read from. The caller must not change it.
func (f *File) Snapshot() Snapshot { return f.l.taken }
