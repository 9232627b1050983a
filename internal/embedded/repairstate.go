package embedded

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The broker's own files, in its format 1. Those of which nothing is used here
// may go; the first two are made anew from the folders of the partitions.
const (
	metaFile   = "meta.json"
	topicsFile = "topics.json"
)

type metaState struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster_id"`
}

type topicsState struct {
	Version int          `json:"version"`
	Topics  []topicState `json:"topics"`
}

type topicState struct {
	Name       string `json:"name"`
	ID         []byte `json:"id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
}

// clusterID is the id of the cluster in a folder, made when there is none: the broker
// keeps its own only when it ends in good order, and the pipeline knows the log by it.
func clusterID(dir string) (string, error) {
	path := filepath.Join(dir, "cluster.id")
	text, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(text)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read the embedded Kafka's %s: %w", path, err)
	}
	id := rand.Text()[:22]
	return id, replace(path, []byte(id+"\n"))
}

// repairState sets aside files of the broker's state that cannot be read, which
// would keep it from starting. partitions are those of the topics that we make.
func repairState(dir, cluster string, partitions map[string]int, log *slog.Logger) error {
	folders, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range []string{metaFile, topicsFile, "acls.json", "sasl.json", "broker_configs.json", "quotas.json", "seq_windows.json"} {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		missing := errors.Is(err, fs.ErrNotExist)
		if err != nil && !missing {
			return fmt.Errorf("cannot read the embedded Kafka's %s: %w", path, err)
		}
		if !missing && json.Valid(content) {
			continue
		}
		anew := anew(name, cluster, folders, partitions)
		if missing && (anew == nil || len(folders) == 0) {
			continue // As in a new folder.
		}
		if !missing {
			if err := os.Rename(path, path+damagedSuffix); err != nil {
				return err
			}
		}
		log.Error("a file of the embedded Kafka could not be read: it is set aside, and made anew; records are kept", "file", path, "set_aside", path+damagedSuffix)
		if anew == nil {
			continue
		}
		text, err := json.Marshal(anew)
		if err != nil {
			return err
		}
		if err := replace(path, text); err != nil {
			return err
		}
	}
	return nil
}

// anew returns the content of a file that the broker needs, nil of others.
func anew(name, cluster string, folders []fs.DirEntry, partitions map[string]int) any {
	switch name {
	case metaFile:
		return metaState{Version: 1, Cluster: cluster}
	case topicsFile:
		state := topicsState{Version: 1}
		for topic, n := range topicsOf(folders, partitions) {
			id := make([]byte, 16)
			_, _ = rand.Read(id) // It never fails.
			state.Topics = append(state.Topics, topicState{topic, id, n, 1})
		}
		return state
	}
	return nil
}

// topicsOf returns the numbers of partitions of the topics that have folders.
func topicsOf(folders []fs.DirEntry, partitions map[string]int) map[string]int {
	found := make(map[string]int)
	for _, f := range folders {
		at := strings.LastIndexByte(f.Name(), '-')
		if at < 0 {
			continue
		}
		topic, err := url.PathUnescape(f.Name()[:at])
		n, err2 := strconv.Atoi(f.Name()[at+1:])
		if err == nil && err2 == nil {
			found[topic] = max(found[topic], n+1, partitions[topic]) // One without records has no folder.
		}
	}
	return found
}
