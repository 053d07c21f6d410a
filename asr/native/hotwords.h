// asr.search.hotwords.HotwordScorer, by two functions of Python's; a state is a number there, `spot`.
#pragma once
#include "arrays.h"

class Hotwords {
public:
    Array<uint8_t> begin;  // of words: may one begin a phrase, or be in one?

    void take(PyObject* after, PyObject* end) {
        Py_INCREF(after_ = after);
        Py_INCREF(end_ = end);
    }

    ~Hotwords() {
        Py_XDECREF(after_);
        Py_XDECREF(end_);
    }

    // What a word adds; the spot becomes that after it.
    double add(int64_t& spot, int32_t word) const {
        if (!after_ || (!spot && !begin[word])) return 0.0;
        PyObject* found = PyObject_CallFunction(after_, "Li", (long long)spot, word);
        double boost = 0.0;
        long long next = 0;
        bool fine = found && PyArg_ParseTuple(found, "dL", &boost, &next);
        Py_XDECREF(found);
        if (!fine) throw PythonError();
        spot = next;
        return boost;
    }

    // What the end of the text adds.
    double end(int64_t spot) const {
        if (!spot) return 0.0;
        PyObject* found = PyObject_CallFunction(end_, "L", (long long)spot);
        double boost = found ? PyFloat_AsDouble(found) : 0.0;
        Py_XDECREF(found);
        if (PyErr_Occurred()) throw PythonError();
        return boost;
    }

private:
    PyObject *after_ = nullptr, *end_ = nullptr;
};
