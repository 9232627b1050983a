package configsvc

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pulseboard/internal/httpapi"

	"github.com/gin-gonic/gin"
)

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matcher is a parsed If-Match header.
type matcher struct {
	any  bool
	tags []string
}

func (m matcher) matches(version int64) bool {
	return m.any || slices.Contains(m.tags, etag(version))
}

// parseIfMatch reads the header that every change needs; when ok is false, the
// answer was given.
func parseIfMatch(c *gin.Context, header *string) (m matcher, ok bool) {
	if header == nil || strings.Trim(*header, " \t,") == "" {
		httpapi.Fail(c, http.StatusPreconditionRequired,
			`this change needs If-Match with the ETag of the version it is made for, such as If-Match: "7" (If-Match: * for whatever there is), so that nobody's change is overwritten unseen`)
		return m, false
	}
	if m, ok = parseTags(*header); !ok {
		httpapi.Fail(c, http.StatusBadRequest, fmt.Sprintf(`If-Match is %.100q: it must be * or ETags with their quotes, such as "7"`, *header))
	}
	return m, ok
}

// parseTags reads * or a list of entity tags, which may hold commas themselves.
//
// A weak tag is taken for the strong one. A proxy that compresses makes W/"7" of "7"
// on the way to the client, and RFC 9110 would have the client's change refused for
// ever. Our tags are versions: they name the same document whatever its bytes are.
func parseTags(header string) (m matcher, ok bool) {
	rest := strings.Trim(header, " \t")
	if rest == "*" {
		m.any = true
		return m, true
	}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return m, len(m.tags) > 0
		}
		opaque := strings.TrimPrefix(rest, "W/")
		if opaque == "" || opaque[0] != '"' {
			return m, false
		}
		end := strings.IndexByte(opaque[1:], '"')
		if end < 0 {
			return m, false
		}
		m.tags = append(m.tags, opaque[:end+2])
		if rest = strings.TrimLeft(opaque[end+2:], " \t"); rest != "" && rest[0] != ',' {
			return m, false
		}
	}
}

func notModified(header string, version int64) bool {
	m, ok := parseTags(header)
	return ok && m.matches(version)
}

// joinLists makes one line of headers that are lists and came in several, which
// means the same (RFC 9110, 5.3).
func joinLists(c *gin.Context) {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if lines := c.Request.Header[name]; len(lines) > 1 {
			c.Request.Header[name] = []string{strings.Join(lines, ", ")}
		}
	}
}

// cursor names the place after d. Clients take it as it is.
func cursor(d Summary) string {
	// A struct of two strings can be encoded.
	b, _ := json.Marshal(Place{TitleKey: titleKey(d.Title), ID: d.ID})
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (Place, error) {
	var p Place
	if s == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(b, &p)
}
