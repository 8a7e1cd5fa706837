// Package content says what a file is: chunks, trees, CIDs and safe names.
package content
