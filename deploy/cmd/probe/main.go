// Command probe asks a health address and ends with status 0 when it says yes: the
// images hold no shell and no curl.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: probe URL")
		os.Exit(2)
	}
	client := &http.Client{Timeout: 4 * time.Second}
	response, err := client.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
	_ = response.Body.Close() // The status is all that counts.
	if response.StatusCode != http.StatusOK {
		fmt.Fprintln(os.Stderr, "probe: the answer is", response.Status)
		os.Exit(1)
	}
}
