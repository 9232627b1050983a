package configsvc

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// packer compresses the documents of versions: a change of a title keeps a whole
// document, of which most is like the rest. Documents of before there was one
// are JSON as they are.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() *packer {
	// The options are right, so there are no errors.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxDocument), zstd.WithLowerEncoderMem(true))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4*maxDocument), zstd.WithDecoderLowmem(true))
	return &packer{enc, dec}
}

func (p *packer) pack(document []byte) []byte { return p.enc.EncodeAll(document, nil) }

func (p *packer) unpack(b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, []byte("{")) {
		return b, nil
	}
	text, err := p.dec.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot uncompress a document: %w", err)
	}
	return text, nil
}
