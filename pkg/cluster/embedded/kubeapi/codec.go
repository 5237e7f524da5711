// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const (
	// maxBody is MaxRequestBodyBytes of k8s.io/apiserver.
	maxBody = 3 << 20

	jsonType  = "application/json"
	yamlType  = "application/yaml"
	protoType = "application/vnd.kubernetes.protobuf"
)

func readBody(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, apierrors.NewBadRequest("cannot read the request body")
	}
	if len(data) > maxBody {
		return nil, tooBig(maxBody)
	}
	return data, nil
}

// decode reads a request body into an object of the kind that the path expects.
func decode(r *http.Request, data []byte, into runtime.Object) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		media = jsonType // what a client that says nothing sends
	}
	switch media {
	case jsonType:
	case yamlType:
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	case protoType:
		if _, custom := into.(*unstructured.Unstructured); custom {
			return unsupportedMedia(jsonType, yamlType)
		}
		s := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
		if _, _, err := s.Decode(data, nil, into); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		return nil
	default:
		return unsupportedMedia(jsonType, yamlType, protoType)
	}
	return decodeJSON(data, into, r.URL.Query().Get("fieldValidation") == "Strict")
}

func decodeJSON(data []byte, into runtime.Object, strict bool) error {
	if u, ok := into.(*unstructured.Unstructured); ok {
		m := map[string]any{}
		if err := utiljson.Unmarshal(data, &m); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		if err := wellFormedMeta(m); err != nil {
			return err
		}
		u.Object = m
		return nil
	}
	var wrong []error
	var err error
	if strict {
		wrong, err = kjson.UnmarshalStrict(data, into)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, into)
	}
	if err == nil {
		err = errors.Join(wrong...)
	}
	if err != nil {
		what := into.GetObjectKind().GroupVersionKind()
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", what.Kind, what.Version, what.Kind, err))
	}
	return nil
}

// wellFormedMeta refuses metadata whose accessors would silently read as empty.
func wellFormedMeta(m map[string]any) error {
	raw, ok := m["metadata"]
	if !ok || raw == nil {
		delete(m, "metadata")
		return nil
	}
	fields, ok := raw.(map[string]any)
	if !ok {
		return apierrors.NewBadRequest("metadata is not an object")
	}
	var meta metav1.ObjectMeta
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &meta); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

// decodeObject reads the body of a write to a resource: the kind must be that
// of the path.
func decodeObject(r *http.Request, res *Resource, version string, data []byte) (object, error) {
	o := newObject(res, version)
	if err := decode(r, data, o); err != nil {
		return nil, err
	}
	return o, sameKind(res, version, o)
}

func sameKind(res *Resource, version string, o object) error {
	want, got := res.gvk(version), o.GetObjectKind().GroupVersionKind()
	switch {
	case got.Empty() && res.typed():
	case got.GroupVersion() != want.GroupVersion():
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			got.GroupVersion(), want.GroupVersion()))
	case got.Kind != want.Kind:
		return apierrors.NewBadRequest(fmt.Sprintf("the kind in the data (%s) does not match the expected kind (%s)", got.Kind, want.Kind))
	}
	setKind(o, res, res.Versions[0])
	return nil
}

// partial says whether the client wants metadata only, and whether it takes
// JSON at all: the first clause of Accept that can be served counts.
func partial(accept string) (metadataOnly, ok bool) {
	if accept == "" {
		return false, true
	}
	for clause := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(clause)
		if err != nil {
			continue
		}
		switch media {
		case jsonType, "*/*", "application/*":
		default:
			continue
		}
		switch as := params["as"]; {
		case as == "":
			return false, true
		case strings.HasPrefix(as, "PartialObjectMetadata") && params["g"] == "meta.k8s.io" && params["v"] == "v1":
			return true, true
		}
	}
	return false, false
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the client is gone: nobody to tell
}

// Refuse answers a request with an error as the API does: a metav1.Status with
// the code of err, and Retry-After where it has one. Errors that are not of
// apimachinery's errors package are 500.
func Refuse(w http.ResponseWriter, err error) {
	status := statusOf(err)
	if d := status.Details; d != nil && d.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(d.RetryAfterSeconds)))
	}
	writeJSON(w, int(status.Code), status)
}

func statusOf(err error) metav1.Status {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
	if api, ok := errors.AsType[*apierrors.StatusError](err); ok {
		status = api.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return status
}

func unsupportedMedia(accepted ...string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: "the body of the request was in an unknown format - accepted media types include: " + strings.Join(accepted, ", "),
	}}
}

func notAcceptable() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "only the following media types are accepted: " + jsonType,
	}}
}
