// The reference library of ORAS behind three commands, as a peer of the interop tests:
//
//	oras-go push <host/repository:tag> <artifact type> <file>   pushes one file as `oras push` does
//	oras-go pull <host/repository:tag or @digest> <folder>      pulls every file of an artifact
//	oras-go copy <oci layout folder> <tag> <host/repository:tag>   copies from an OCI image layout
//
// All print the digest of the manifest. Registries are spoken to without TLS: they are on loopback.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
)

func repository(reference string) (*remote.Repository, error) {
	repo, err := remote.NewRepository(reference)
	if err == nil {
		repo.PlainHTTP = true
	}
	return repo, err
}

func push(ctx context.Context, reference, artifactType, path string) (v1.Descriptor, error) {
	store, err := file.New(filepath.Dir(path))
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer store.Close()
	layer, err := store.Add(ctx, filepath.Base(path), "", filepath.Base(path))
	if err != nil {
		return v1.Descriptor{}, err
	}
	options := oras.PackManifestOptions{Layers: []v1.Descriptor{layer}}
	manifest, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_1, artifactType, options)
	if err != nil {
		return v1.Descriptor{}, err
	}
	repo, err := repository(reference)
	if err != nil {
		return v1.Descriptor{}, err
	}
	tag := repo.Reference.Reference
	if err := store.Tag(ctx, manifest, tag); err != nil {
		return v1.Descriptor{}, err
	}
	return oras.Copy(ctx, store, tag, repo, tag, oras.DefaultCopyOptions)
}

func pull(ctx context.Context, reference, folder string) (v1.Descriptor, error) {
	store, err := file.New(folder)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer store.Close()
	repo, err := repository(reference)
	if err != nil {
		return v1.Descriptor{}, err
	}
	name := repo.Reference.Reference
	return oras.Copy(ctx, repo, name, store, name, oras.DefaultCopyOptions)
}

func copyLayout(ctx context.Context, folder, tag, reference string) (v1.Descriptor, error) {
	layout, err := oci.New(folder)
	if err != nil {
		return v1.Descriptor{}, err
	}
	repo, err := repository(reference)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return oras.Copy(ctx, layout, tag, repo, repo.Reference.Reference, oras.DefaultCopyOptions)
}

func run(args []string) (v1.Descriptor, error) {
	ctx := context.Background()
	switch {
	case len(args) == 4 && args[0] == "push":
		return push(ctx, args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "pull":
		return pull(ctx, args[1], args[2])
	case len(args) == 4 && args[0] == "copy":
		return copyLayout(ctx, args[1], args[2], args[3])
	}
	return v1.Descriptor{}, fmt.Errorf("usage: oras-go push|pull|copy ...")
}

func main() {
	manifest, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(manifest.Digest)
}
