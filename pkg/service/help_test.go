package service_test

import (
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/service"
)

func TestHelpTellsTypeDefaultAndMeaningOfEveryVariable(t *testing.T) {
	var b strings.Builder
	err := service.Help(&b, "usage: x", service.Section{Title: "Shared", Config: service.Common{}}, service.Section{Title: "x", Config: &testConfig{Key: "sesame"}},
		service.Section{Title: "again", Config: service.Common{}})
	if err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"usage: x\n", "\nShared\n", "\nx\n",
		"  PAIRGATE_LEASE_TTL  (duration)\n",
		"  PAIRGATE_T_NAME  (text; default anna)\n      A name.\n",
		"  PAIRGATE_T_KEY  (secret)\n",
		"  PAIRGATE_T_HIDDEN  (whole number)\n",
		"  PAIRGATE_T_MODE  (a, b or c; default a)\n",
		"  PAIRGATE_T_LIMIT  (whole number; default 30; also read as QRCODE_LIMIT, OLD_LIMIT)\n",
		"  PAIRGATE_T_REQUIRED  (text; required)\n",
		"  PAIRGATE_T_NETS  (list of networks)\n",
		"  PAIRGATE_T_RETRIES  (whole number; default 3)\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"sesame", "default 41", "again"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%q is in the help", unwanted)
		}
	}
}

func TestMarkdownTable(t *testing.T) {
	got := service.MarkdownTable(inner{}, &pairConfig{})
	want := "| variable | type | default | meaning |\n|---|---|---|---|\n" +
		"| `PAIRGATE_T_A` | text | none |  |\n" +
		"| `PAIRGATE_T_B` | text | none |  |\n" +
		"| `PAIRGATE_T_N` | whole number | none |  |\n" +
		"| `PAIRGATE_T_RETRIES` | whole number | `3` | How often. |\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestListOfAllVariablesIsSortedAndHoldsTheSharedOnes(t *testing.T) {
	all := service.AllVariables()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("not sorted, or with repetitions")
	}
	for _, name := range service.KnownVariables(service.Common{}) {
		if !slices.Contains(all, name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, v := range service.Variables(service.Common{}) {
		if v.Meaning == "" {
			t.Errorf("%s has no meaning", v.Name)
		}
	}
}
