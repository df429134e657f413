package instance

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// ID is the identifier of an instance: a UUIDv7 in lower-case canonical form.
// It is made by the registry and never changes or returns.
type ID string

// ParseID accepts a UUID of any version in canonical 36-character form, upper
// or lower case, and returns it in lower case. ok is false for anything else.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 36 {
		return "", false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return "", false
			}
		default:
			if !isHex(c) {
				return "", false
			}
		}
	}
	return ID(strings.ToLower(s)), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// Partitions is the number of partitions that instances are spread over. It is
// part of stored subjects and never changes.
const Partitions = 256

// Partition is the number of a partition, 0 to Partitions-1.
type Partition uint16

// String returns the three digits that stand for the partition in subjects and keys.
func (p Partition) String() string { return fmt.Sprintf("%03d", uint16(p)) }

// Partition returns the partition of the instance: FNV-1a (32 bit) of the id
// modulo Partitions. Every process must agree on it for ever.
func (id ID) Partition() Partition { return PartitionOf(string(id)) }

// PartitionOf returns the partition of any key by the same function that
// spreads instances; webhook endpoints use it too.
func PartitionOf(key string) Partition {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return Partition(h.Sum32() % Partitions)
}
