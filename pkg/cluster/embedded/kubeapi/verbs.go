// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// shown is the object as this client asked for it. o is changed.
func (c *call) shown(o object) any {
	if !c.slim {
		return inVersion(o, c.Version)
	}
	meta := metav1.ObjectMeta{
		Name: o.GetName(), GenerateName: o.GetGenerateName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
		ResourceVersion: o.GetResourceVersion(), Generation: o.GetGeneration(), CreationTimestamp: o.GetCreationTimestamp(),
		DeletionTimestamp: o.GetDeletionTimestamp(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(),
		OwnerReferences: o.GetOwnerReferences(), Finalizers: o.GetFinalizers(),
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: meta,
	}
}

func (c *call) get() error {
	o, err := c.s.store.get(c.res, c.Namespace, c.Name)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, c.shown(o))
	return nil
}

// mode adds ?dryRun= to how a write is done.
func (c *call) mode(m writeMode) (writeMode, error) {
	for _, v := range c.r.URL.Query()["dryRun"] {
		if v != metav1.DryRunAll {
			return m, apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind("CreateOptions").GroupKind(), "", field.ErrorList{
				field.NotSupported(field.NewPath("dryRun"), v, []string{metav1.DryRunAll}),
			})
		}
		m.dryRun = true
	}
	return m, nil
}

func (c *call) create() error {
	m, err := c.mode(writeMode{})
	if err != nil {
		return err
	}
	data, err := readBody(c.r)
	if err != nil {
		return err
	}
	o, err := decodeObject(c.r, c.res, c.Version, data)
	if err != nil {
		return err
	}
	err = c.s.store.write(func() error { return c.s.store.create(c.res, c.Namespace, o, m) })
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusCreated, c.shown(o))
	return nil
}

func (c *call) update(m writeMode) error {
	m, err := c.mode(m)
	if err != nil {
		return err
	}
	data, err := readBody(c.r)
	if err != nil {
		return err
	}
	o, err := decodeObject(c.r, c.res, c.Version, data)
	if err != nil {
		return err
	}
	return c.replace(func() (object, error) { return o, nil }, m)
}

// replace stores what next returns; both run in one write.
func (c *call) replace(next func() (object, error), m writeMode) error {
	var o object
	err := c.s.store.write(func() (err error) {
		if o, err = next(); err != nil {
			return err
		}
		if o.GetName() != c.Name {
			return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), c.Name))
		}
		o, err = c.s.store.update(c.res, c.Namespace, o, m)
		return err
	})
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, c.shown(o))
	return nil
}

func (c *call) deleteOptions() (*metav1.DeleteOptions, error) {
	opts := &metav1.DeleteOptions{}
	if err := c.body(opts); err != nil {
		return nil, err
	}
	m, err := c.mode(writeMode{})
	if m.dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	return opts, err
}

func (c *call) delete() error {
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	var o object
	var gone bool
	err = c.s.store.write(func() (err error) {
		o, gone, err = c.s.store.delete(c.res, c.Namespace, c.Name, opts)
		return err
	})
	switch {
	case err != nil:
		return err
	case !gone, c.Group == "" && (c.res.Kind == "Namespace" || c.res.Kind == "Pod" || c.res.Kind == "Service" || c.res.Kind == "ServiceAccount"):
		// These kinds answer with what was deleted (ReturnDeletedObject).
		writeJSON(c.w, http.StatusOK, c.shown(o))
	default:
		writeJSON(c.w, http.StatusOK, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
			Details: &metav1.StatusDetails{Name: o.GetName(), Group: c.Group, Kind: c.Resource, UID: o.GetUID()},
		})
	}
	return nil
}

func (c *call) deleteCollection() error {
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	takes, err := selection(c.res, c.r.URL.Query())
	if err != nil {
		return err
	}
	var gone []object
	err = c.s.store.write(func() (err error) {
		gone, err = c.s.store.listLocked(c.res, c.Namespace, takes)
		for i := 0; err == nil && i < len(gone); i++ {
			_, _, err = c.s.store.delete(c.res, c.Namespace, gone[i].GetName(), opts)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.writeList(gone, metav1.ListMeta{ResourceVersion: c.s.store.revision()})
	return nil
}

func (s *Store) revision() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return strconv.FormatUint(s.rev, 10)
}

// page is the opaque continue token.
type page struct {
	Version string `json:"v"`
	Rev     uint64 `json:"rv"`
	After   string `json:"start"` // key of the last object that was given out
}

func (c *call) list() error {
	q := c.r.URL.Query()
	takes, err := selection(c.res, q)
	if err != nil {
		return err
	}
	if c.Name != "" {
		return apierrors.NewMethodNotSupported(c.res.gr(), c.Verb)
	}
	from, err := c.from(q.Get("continue"))
	if err != nil {
		return err
	}
	objs, rev, err := c.s.store.list(c.res, c.Namespace, func(o object) bool { return takes(o) && keyOf(o) > from.After })
	if err != nil {
		return err
	}
	if from.Rev == 0 {
		from.Rev = rev
		if err := c.freshEnough(q.Get("resourceVersion"), q.Get("resourceVersionMatch"), rev); err != nil {
			return err
		}
	}
	meta := metav1.ListMeta{ResourceVersion: strconv.FormatUint(from.Rev, 10)}
	if limit, err := strconv.Atoi(q.Get("limit")); err == nil && limit > 0 && len(objs) > limit {
		left := int64(len(objs) - limit)
		objs = objs[:limit]
		next, err := json.Marshal(page{Version: "meta.k8s.io/v1", Rev: from.Rev, After: keyOf(objs[limit-1])})
		if err != nil {
			return err
		}
		meta.Continue = base64.RawURLEncoding.EncodeToString(next)
		if q.Get("labelSelector") == "" && q.Get("fieldSelector") == "" {
			meta.RemainingItemCount = &left
		}
	}
	c.writeList(objs, meta)
	return nil
}

func (c *call) from(token string) (page, error) {
	var p page
	if token == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || p.Rev == 0 {
		return p, apierrors.NewBadRequest("continue key is not valid")
	}
	if _, _, err := c.s.store.past[c.res.storage()].after(p.Rev); err != nil {
		return p, apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. " +
			"You can start a new list without the continue parameter.")
	}
	return p, nil
}

// freshEnough serves the resourceVersion of a list: what is kept is only the newest.
func (c *call) freshEnough(version, match string, have uint64) error {
	if version == "" || version == "0" {
		return nil
	}
	want, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return invalidVersion(c.res, version)
	}
	if want > have {
		return tooLarge(want, have)
	}
	if match == string(metav1.ResourceVersionMatchExact) && want != have {
		return apierrors.NewResourceExpired(fmt.Sprintf("The resourceVersion for the provided list is too old: %d (%d)", want, have))
	}
	return nil
}

func invalidVersion(r *Resource, version string) error {
	return apierrors.NewInvalid(r.gvk("").GroupKind(), "", field.ErrorList{
		field.Invalid(field.NewPath("resourceVersion"), version, "must be an unsigned integer"),
	})
}

func tooLarge(want, have uint64) error {
	e := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", want, have), 1)
	e.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return e
}

type listBody struct {
	Kind       string          `json:"kind"`
	APIVersion string          `json:"apiVersion"`
	Metadata   metav1.ListMeta `json:"metadata"`
	Items      []any           `json:"items"`
}

func (c *call) writeList(objs []object, meta metav1.ListMeta) {
	body := listBody{Kind: c.res.Kind + "List", APIVersion: c.res.gvk(c.Version).GroupVersion().String(), Metadata: meta, Items: make([]any, len(objs))}
	if c.slim {
		body.Kind, body.APIVersion = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	for i, o := range objs {
		if !c.slim && c.res.typed() {
			o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // builtin kinds do not repeat it per item
		}
		body.Items[i] = c.shown(o)
	}
	writeJSON(c.w, http.StatusOK, body)
}
