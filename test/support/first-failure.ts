import fc from "fast-check";

// For mutants: that a property fails is enough, and its smallest counterexample takes long.
fc.configureGlobal({ endOnFailure: true });
