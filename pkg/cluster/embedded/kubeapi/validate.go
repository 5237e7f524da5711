// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// invalid is 422 with a cause per field, or nil.
func invalid(r *Resource, o object, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(r.gvk("").GroupKind(), o.GetName(), errs)
}

func missingVersion(r *Resource, o object) error {
	return invalid(r, o, field.ErrorList{field.Invalid(field.NewPath("metadata", "resourceVersion"),
		"", "must be specified for an update")})
}

// validate is the part of a real server's validation that callers rely on.
// prev is nil for a create.
func validate(r *Resource, o, prev object) field.ErrorList {
	meta := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessor(o, r.Namespaced, nameRule(r), meta)
	if prev != nil {
		errs = append(errs, validation.ValidateObjectMetaAccessorUpdate(o, prev, meta)...)
	}
	switch obj := o.(type) {
	case *corev1.Secret:
		old, _ := prev.(*corev1.Secret)
		errs = append(errs, validateSecret(obj, old)...)
	case *corev1.ConfigMap:
		old, _ := prev.(*corev1.ConfigMap)
		errs = append(errs, validateConfigMap(obj, old)...)
	case *corev1.Service:
		errs = append(errs, validateService(obj)...)
	}
	return errs
}

// nameRule is how a kind may be named: k8s.io/kubernetes pkg/apis/*/validation.
func nameRule(r *Resource) validation.ValidateNameFunc {
	switch {
	case r.Group == "" && r.Name == "namespaces":
		return validation.ValidateNamespaceName
	case r.Group == "" && r.Name == "services":
		return validation.NameIsDNS1035Label
	case r.Group == "rbac.authorization.k8s.io":
		return pathSegment
	}
	return validation.NameIsDNSSubdomain
}

// pathSegment takes any name that a URL can hold: names of roles have colons.
func pathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

func validateSecret(s, old *corev1.Secret) field.ErrorList {
	var errs field.ErrorList
	data := field.NewPath("data")
	total := 0
	for key, value := range s.Data {
		errs = append(errs, dataKey(data, key)...)
		total += len(value)
	}
	if total > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(data, "", corev1.MaxSecretSize))
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeTLS:
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if _, ok := s.Data[key]; !ok {
				errs = append(errs, field.Required(data.Key(key), ""))
			}
		}
	default: // the rules of the other types are about what no caller writes
	}
	if old == nil {
		return errs
	}
	errs = append(errs, validation.ValidateImmutableField(s.Type, old.Type, field.NewPath("type"))...)
	if old.Immutable != nil && *old.Immutable {
		errs = append(errs, frozen(s.Immutable, equality.Semantic.DeepEqual(s.Data, old.Data), "data")...)
	}
	return errs
}

func validateConfigMap(c, old *corev1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	total := 0
	for key, value := range c.Data {
		errs = append(errs, dataKey(field.NewPath("data"), key)...)
		if _, twice := c.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
		total += len(value)
	}
	for key, value := range c.BinaryData {
		errs = append(errs, dataKey(field.NewPath("binaryData"), key)...)
		total += len(value)
	}
	if total > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	if old != nil && old.Immutable != nil && *old.Immutable {
		errs = append(errs, frozen(c.Immutable, equality.Semantic.DeepEqual(c.Data, old.Data), "data")...)
		errs = append(errs, frozen(c.Immutable, equality.Semantic.DeepEqual(c.BinaryData, old.BinaryData), "binaryData")...)
	}
	return errs
}

// frozen is the rule of `immutable: true`: neither the data nor the flag changes.
func frozen(flag *bool, same bool, name string) field.ErrorList {
	const detail = "field is immutable when `immutable` is set"
	var errs field.ErrorList
	if flag == nil || !*flag {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), detail))
	}
	if !same {
		errs = append(errs, field.Forbidden(field.NewPath(name), detail))
	}
	return errs
}

func dataKey(data *field.Path, key string) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range utilvalidation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(data.Key(key), key, msg))
	}
	return errs
}

func validateService(s *corev1.Service) field.ErrorList {
	ports := field.NewPath("spec", "ports")
	if len(s.Spec.Ports) == 0 && s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone {
		return field.ErrorList{field.Required(ports, "")}
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, p := range s.Spec.Ports {
		at := ports.Index(i)
		if len(s.Spec.Ports) > 1 && p.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
		if p.Name != "" && seen[p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		}
		seen[p.Name] = true
		for _, msg := range utilvalidation.IsValidPortNum(int(p.Port)) {
			errs = append(errs, field.Invalid(at.Child("port"), p.Port, msg))
		}
	}
	return errs
}

// tooBig is 413, for bodies over the limit of a real server.
func tooBig(limit int64) error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", limit))
}
