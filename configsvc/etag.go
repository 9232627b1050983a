package configsvc

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/service"
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
// answer was given. Weak tags are kept and match nothing, as RFC 9110 has it.
func parseIfMatch(c *gin.Context, header *string) (m matcher, ok bool) {
	if header == nil || strings.TrimSpace(*header) == "" {
		fail(c, service.NewProblem(http.StatusPreconditionRequired,
			`this change needs If-Match with the ETag of the version it is made for, such as If-Match: "7" (If-Match: * for whatever there is), so that nobody's change is overwritten unseen`))
		return m, false
	}
	if m, ok = parseTags(*header); !ok {
		fail(c, service.NewProblem(http.StatusBadRequest, `If-Match must be * or an ETag with its quotes, such as "7"`))
	}
	return m, ok
}

func parseTags(header string) (matcher, bool) {
	var m matcher
	for t := range strings.SplitSeq(header, ",") {
		t = strings.TrimSpace(t)
		switch opaque := strings.TrimPrefix(t, "W/"); {
		case t == "*":
			m.any = true
		case t == "":
		case len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"':
			return m, false
		default:
			m.tags = append(m.tags, t)
		}
	}
	return m, m.any || len(m.tags) > 0
}

// notModified compares weakly, as If-None-Match is meant to.
func notModified(header string, version int64) bool {
	m, ok := parseTags(strings.ReplaceAll(header, "W/", ""))
	return ok && m.matches(version)
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
