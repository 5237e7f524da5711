// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"encoding/json"
	"mime"
	"net/http"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// maxPatchOperations is that of k8s.io/apiserver.
const maxPatchOperations = 10000

// patch merges and writes under one lock, so a patch without a resourceVersion
// of its own never conflicts.
func (c *call) patch(m writeMode) error {
	m, err := c.mode(m)
	if err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	data, err := readBody(c.r)
	if err != nil {
		return err
	}
	strict := c.r.URL.Query().Get("fieldValidation") == "Strict"
	return c.replace(func() (object, error) {
		prev, err := c.s.store.get(c.res, c.Namespace, c.Name)
		if err != nil {
			return nil, err
		}
		before, err := json.Marshal(inVersion(copyOf(prev), c.Version))
		if err != nil {
			return nil, err
		}
		after, err := c.patched(types.PatchType(media), before, data)
		if err != nil {
			return nil, err
		}
		o := newObject(c.res, c.Version)
		if err := decodeJSON(after, o, strict); err != nil {
			return nil, err
		}
		return o, sameKind(c.res, c.Version, o)
	}, m)
}

func (c *call) patched(kind types.PatchType, before, data []byte) ([]byte, error) {
	switch kind {
	case types.JSONPatchType:
		return jsonPatched(before, data)
	case types.MergePatchType:
		after, err := jsonpatch.MergePatch(before, data)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return after, nil
	case types.StrategicMergePatchType:
		if !c.res.typed() {
			break
		}
		after, err := strategicpatch.StrategicMergePatch(before, data, newObject(c.res, c.Version))
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return after, nil
	default: // apply and CBOR, which nobody here sends, are refused as what is unknown
	}
	if c.res.typed() {
		return nil, unsupportedMedia(string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType))
	}
	return nil, unsupportedMedia(string(types.JSONPatchType), string(types.MergePatchType))
}

func jsonPatched(before, data []byte) ([]byte, error) {
	p, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(p) > maxPatchOperations {
		return nil, apierrors.NewRequestEntityTooLargeError("the allowed maximum operations in a JSON patch is 10000")
	}
	after, err := p.Apply(before)
	if err != nil {
		// A patch that is well formed but does not fit, e.g. a failed test.
		return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
			Message: "the server rejected our request due to an error in our request: " + err.Error(),
		}}
	}
	return after, nil
}
