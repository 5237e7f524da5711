// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
)

// program is where an image of meshprobe has its only program.
const program = "/meshprobe"

// imageName is the name of the image that is made of a program; the same bytes
// have the same name, so that a node never runs an older one.
const imageName = "localhost/meshprobe"

// appImage is an image of meshprobe, as docker save would write it: its own
// program and nothing else, the libraries that it is linked to excepted.
type appImage struct {
	name    string
	archive []byte
}

// newAppImage packs a program for Linux, which [os.Executable] is on Linux.
func newAppImage(binary string) (*appImage, error) {
	files, err := runtimeFiles(binary)
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(files)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(layer)
	image := &appImage{name: imageName + ":" + hex.EncodeToString(digest[:6])}
	image.archive, err = archiveOf(image.name, layer, hex.EncodeToString(digest[:]))
	return image, err
}

// packed is one file of an image.
type packed struct{ source, target string }

// runtimeFiles are a program and, where it is not static, its loader and
// libraries.
func runtimeFiles(binary string) ([]packed, error) {
	const hint = "build it for containers: CGO_ENABLED=0 GOOS=linux go build ./cmd/meshprobe, then --app-binary FILE; or name an image of it: --app-image IMAGE"
	files := []packed{{binary, program}}
	f, err := elf.Open(binary)
	if err != nil {
		return nil, failure(hint, "%s is no Linux program that a cluster could run: %w", binary, err)
	}
	defer f.Close()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]; want != 0 && f.Machine != want {
		return nil, failure(hint, "%s is for %s, the clusters of this machine are %s", binary, f.Machine, runtime.GOARCH)
	}
	loader := interpreter(f)
	if loader == "" {
		return files, nil
	}
	files = append(files, packed{loader, loader})
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return nil, failure(hint, "%s: %w", binary, err)
	}
	for _, name := range libraries {
		found, err := findLibrary(name)
		if err != nil {
			return nil, failure(hint, "%s: %w", binary, err)
		}
		files = append(files, packed{found, "/usr/lib/" + name})
	}
	return files, nil
}

// interpreter is the loader of a program; "" where it is static.
func interpreter(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		name, err := io.ReadAll(p.Open())
		if err == nil {
			return string(bytes.TrimRight(name, "\x00"))
		}
	}
	return ""
}

func findLibrary(name string) (string, error) {
	arch := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	for _, dir := range []string{"/lib/" + arch, "/usr/lib/" + arch, "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		file := filepath.Join(dir, filepath.Base(name))
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("the library %s is not found", name)
}

// layerOf is a tar of files, with the same bytes each time.
func layerOf(files []packed) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	dirs := map[string]bool{}
	for _, f := range files {
		for _, dir := range parents(f.target) {
			if !dirs[dir] {
				dirs[dir] = true
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755}); err != nil {
					return nil, err
				}
			}
		}
		data, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.target[1:], Mode: 0o755, Size: int64(len(data))})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// parents are the directories of an absolute path, the outermost first.
func parents(target string) []string {
	var out []string
	for dir := path.Dir(target); dir != "/"; dir = path.Dir(dir) {
		out = append(out, dir)
	}
	slices.Reverse(out)
	return out
}

// archiveOf is an image of one layer (docker image specification v1.2).
func archiveOf(name string, layer []byte, digest string) ([]byte, error) {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"Entrypoint": []string{program}, "User": "65534:65534",
			"Env":    []string{"PATH=/", "LD_LIBRARY_PATH=/usr/lib"},
			"Labels": map[string]string{labelManaged: managedBy},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(config)
	configName := hex.EncodeToString(sum[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{digest + "/layer.tar"}}})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name string
		data []byte
	}{{"manifest.json", manifest}, {configName, config}, {digest + "/layer.tar", layer}} {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.data))}
		if err := errors.Join(w.WriteHeader(header), writeAll(w, f.data)); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

func writeAll(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}
