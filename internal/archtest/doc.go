// SPDX-License-Identifier: Apache-2.0

// Package archtest holds tests over the repository's own source: which way
// imports point, which calls are kept out of the libraries, how large files and
// functions grow, what is documented, and that nothing secret is stored.
//
// Its rules read source files, not compiled packages, so that build tags hide
// nothing and a package that does not compile is judged all the same. Every rule
// has a counterexample in its own test and fails when it saw nothing to judge.
package archtest
