package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
)

// Filters of the PNG format, the first byte of each row.
const (
	filterNone = 0
	filterUp   = 2
)

var pngHeader = []byte("\x89PNG\r\n\x1a\n")

// compressors keeps a zlib writer for each processor: making one takes longer than
// compressing a usual picture. A sync.Pool would be emptied by every second garbage
// collection, and the modules of a few codes make garbage enough for one.
var compressors = make(chan *zlib.Writer, runtime.GOMAXPROCS(0))

// compressor returns a writer to w, to be given back to putCompressor. BestSpeed:
// the default level takes four times as long for 15 % less.
func compressor(w io.Writer) (*zlib.Writer, error) {
	select {
	case z := <-compressors:
		z.Reset(w)
		return z, nil
	default:
		return zlib.NewWriterLevel(w, zlib.BestSpeed)
	}
}

func putCompressor(z *zlib.Writer) {
	z.Reset(io.Discard) // lets go of the picture
	select {
	case compressors <- z:
	default:
	}
}

// drawPNG writes a picture of two palette colours, one bit for each pixel. The
// library's encoder would be given a byte for each pixel and takes about fifteen
// times as long.
func drawPNG(c *code, st style) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(4096)
	buf.Write(pngHeader)

	head := make([]byte, 0, 13)
	head = binary.BigEndian.AppendUint32(head, uint32(st.size))
	head = binary.BigEndian.AppendUint32(head, uint32(st.size))
	// Bit depth 1, palette colours, and the only methods there are; not interlaced.
	head = append(head, 1, 3, 0, 0, 0)
	writeChunk(&buf, "IHDR", head)
	writeChunk(&buf, "PLTE", []byte{
		st.background.r, st.background.g, st.background.b,
		st.foreground.r, st.foreground.g, st.foreground.b,
	})

	start := beginChunk(&buf, "IDAT")
	z, err := compressor(&buf)
	if err != nil {
		return nil, err
	}
	defer putCompressor(z)
	if err := writeRows(z, c, st); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	endChunk(&buf, start)
	writeChunk(&buf, "IEND", nil)
	return buf.Bytes(), nil
}

// writeRows writes the rows of pixels with their filter bytes: each module is a
// square of scale pixels, and the code stands in the middle. A row that repeats the
// one above is written as the difference, which is nothing.
func writeRows(w io.Writer, c *code, st style) error {
	scale, before := st.place(c)
	after := st.size - before - scale*c.width()

	row := make([]byte, 1+(st.size+7)/8) // all background
	same := make([]byte, len(row))
	same[0] = filterUp

	rows := func(b []byte, n int) error {
		for range n {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
	if err := rows(row, before); err != nil {
		return err
	}
	for _, modules := range c.modules {
		row[0] = filterNone
		clear(row[1:])
		for x, dark := range modules {
			if dark {
				setBits(row[1:], before+x*scale, scale)
			}
		}
		if err := rows(row, 1); err != nil {
			return err
		}
		if err := rows(same, scale-1); err != nil {
			return err
		}
	}
	clear(row)
	return rows(row, after)
}

// setBits sets n bits from bit i on; bit 0 is the highest of the first byte.
func setBits(b []byte, i, n int) {
	for end := i + n; i < end; {
		if i%8 == 0 && end-i >= 8 {
			b[i/8] = 0xff
			i += 8
			continue
		}
		b[i/8] |= 0x80 >> (i % 8)
		i++
	}
}

func writeChunk(buf *bytes.Buffer, kind string, data []byte) {
	start := beginChunk(buf, kind)
	buf.Write(data)
	endChunk(buf, start)
}

// beginChunk leaves room for the length, which endChunk fills in.
func beginChunk(buf *bytes.Buffer, kind string) (start int) {
	start = buf.Len()
	buf.Write([]byte{0, 0, 0, 0})
	buf.WriteString(kind)
	return start
}

func endChunk(buf *bytes.Buffer, start int) {
	chunk := buf.Bytes()[start:]
	binary.BigEndian.PutUint32(chunk, uint32(len(chunk)-8))
	sum := crc32.ChecksumIEEE(chunk[4:])
	buf.Write(binary.BigEndian.AppendUint32(nil, sum))
}
