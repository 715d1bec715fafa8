package tally

import (
	"cmp"
	"path/filepath"
	"slices"
)

// Report is what a source tree adds up to. The order of its fields is the order in
// which it is printed.
type Report struct {
	Root      string `json:"root"`
	Files     int    `json:"files"`
	Failed    int    `json:"failed"` // of Files: not parsed
	Lines     int    `json:"lines"`
	Bytes     int64  `json:"bytes"`
	Packages  int    `json:"packages"` // distinct pairs of folder and package name
	Functions int    `json:"functions"`
	Methods   int    `json:"methods"`
	Exported  int    `json:"exported"`

	Longest         Function  `json:"longest_function"`
	TopImports      []Import  `json:"top_imports"`          // the ten most used
	LargestPackages []Package `json:"largest_packages"`     // the ten with the most lines
	Failures        []Failure `json:"failures"`             // the first twenty
	Unreadable      []Failure `json:"unreadable_folders"`   // the first twenty
	Workers         []Worker  `json:"parsers,omitempty"`    // who parsed how much
	Seconds         float64   `json:"seconds,omitzero"`     // from the first file to the last
	Rate            float64   `json:"files_per_s,omitzero"` // files per second
}

// Import is an import path and how many files import it.
type Import struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
}

// Package is a folder's package.
type Package struct {
	Folder string `json:"folder"`
	Name   string `json:"name"`
	Files  int    `json:"files"`
	Lines  int    `json:"lines"`
}

// Failure is a file or folder that could not be counted in full.
type Failure struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
}

// Worker is one parser's share.
type Worker struct {
	Parser string `json:"parser"`
	Files  int    `json:"files"`
}

// Bounds of the lists in a report.
const (
	topLength     = 10
	failureLength = 20
)

// Tally adds files up. The order in which they come makes no difference. The zero
// value is ready.
type Tally struct {
	sum        Report
	imports    map[string]int
	packages   map[packageKey]*Package
	failures   []Failure
	unreadable []Failure
}

type packageKey struct{ folder, name string }

// Add adds one file.
func (t *Tally) Add(f File) {
	if t.imports == nil {
		t.imports, t.packages = map[string]int{}, map[packageKey]*Package{}
	}
	t.sum.Files++
	t.sum.Lines += f.Lines
	t.sum.Bytes += f.Bytes
	if f.Problem != "" {
		t.sum.Failed++
		t.failures = append(t.failures, Failure{f.Path.String(), f.Problem})
		return
	}
	t.sum.Functions += f.Functions
	t.sum.Methods += f.Methods
	t.sum.Exported += f.Exported
	t.sum.Longest = longer(t.sum.Longest, f.Longest)
	for _, path := range f.Imports {
		t.imports[path]++
	}
	t.addPackage(f)
}

func (t *Tally) addPackage(f File) {
	folder := filepath.Dir(f.Path.String())
	key := packageKey{folder, f.Package}
	p := t.packages[key]
	if p == nil {
		p = &Package{Folder: folder, Name: f.Package}
		t.packages[key] = p
	}
	p.Files++
	p.Lines += f.Lines
}

// AddUnreadable notes a folder that could not be read.
func (t *Tally) AddUnreadable(path Path, problem string) {
	t.unreadable = append(t.unreadable, Failure{path.String(), problem})
}

// Report is what has been added up.
func (t *Tally) Report() Report {
	r := t.sum
	r.Packages = len(t.packages)
	r.TopImports, r.LargestPackages = t.topImports(), t.largestPackages()
	r.Failures, r.Unreadable = firstOf(t.failures), firstOf(t.unreadable)
	return r
}

func (t *Tally) topImports() []Import {
	all := make([]Import, 0, len(t.imports))
	for path, n := range t.imports {
		all = append(all, Import{path, n})
	}
	slices.SortFunc(all, func(a, b Import) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Path, b.Path))
	})
	return all[:min(topLength, len(all))]
}

func (t *Tally) largestPackages() []Package {
	all := make([]Package, 0, len(t.packages))
	for _, p := range t.packages {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Package) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(topLength, len(all))]
}

func firstOf(failures []Failure) []Failure {
	sorted := append([]Failure{}, failures...) // never nil: it is printed as a list
	slices.SortFunc(sorted, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Problem, b.Problem))
	})
	return sorted[:min(failureLength, len(sorted))]
}

// longer is the longer function; of two equals the one that comes first by place.
func longer(a, b Function) Function {
	if a.Lines != b.Lines {
		if a.Lines > b.Lines {
			return a
		}
		return b
	}
	if a.Where <= b.Where {
		return a
	}
	return b
}
