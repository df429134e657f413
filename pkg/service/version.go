package service

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// Build says what program this is.
type Build struct {
	// Version is always a semantic version without "v": that of the main module,
	// or 0.0.0-dev.
	Version string
	// Revision is the commit, with "-dirty" after it when the tree was changed;
	// empty when the program was built without it.
	Revision string
	// Go is the toolchain's version.
	Go string
}

// BuildInfo reads the build information that the toolchain put into the program.
func BuildInfo() Build {
	b := Build{Version: "0.0.0-dev"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if v, ok := strings.CutPrefix(info.Main.Version, "v"); ok {
		b.Version = v
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if b.Revision != "" {
		b.Revision += dirty
	}
	return b
}

// String is one line for people.
func (b Build) String() string {
	if b.Revision == "" {
		return fmt.Sprintf("%s (%s)", b.Version, b.Go)
	}
	return fmt.Sprintf("%s (%s, %s)", b.Version, b.Revision, b.Go)
}
