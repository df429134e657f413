package service

import (
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// check is a rule that a struct tag names. It is asked about values that are
// set or have a default, never about an absent one.
type check struct {
	want  string
	holds func(reflect.Value) bool
}

var checks = map[string]*check{
	"addr":        {"an address such as 127.0.0.1:8080 or :8080", func(v reflect.Value) bool { return isAddr(v.String()) }},
	"loopback":    {"a loopback address such as 127.0.0.1:7700", func(v reflect.Value) bool { return IsLoopback(v.String()) }},
	"url":         {"a URL with a scheme and a host", func(v reflect.Value) bool { return isURL(v.String()) }},
	"positive":    {"greater than zero", func(v reflect.Value) bool { return sign(v) > 0 }},
	"nonnegative": {"zero or greater", func(v reflect.Value) bool { return sign(v) >= 0 }},
}

func checkNamed(name string) *check {
	c, ok := checks[name]
	if !ok {
		panic("service: no check is called " + strconv.Quote(name))
	}
	return c
}

func sign(v reflect.Value) int {
	switch {
	case v.CanInt():
		return compareZero(v.Int() > 0, v.Int() == 0)
	case v.CanUint():
		return compareZero(v.Uint() > 0, v.Uint() == 0)
	default:
		return compareZero(v.Float() > 0, v.Float() == 0)
	}
}

func compareZero(greater, equal bool) int {
	switch {
	case greater:
		return 1
	case equal:
		return 0
	}
	return -1
}

func isAddr(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// IsLoopback reports whether s is host:port with a host that cannot be reached
// from another machine: localhost, or an IP address of the loopback networks.
func IsLoopback(s string) bool {
	if !isAddr(s) {
		return false
	}
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}
