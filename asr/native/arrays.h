// Hash tables, and arrays that Python owns.
#pragma once
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

struct PythonError {};  // an exception is set

inline void want(bool good, const char* what) {
    if (good) return;
    PyErr_SetString(PyExc_ValueError, what);
    throw PythonError();
}

// What a function of Python's gives, or nullptr with an exception set.
template <class Function>
PyObject* guarded(Function function) {
    try {
        return function();
    } catch (const PythonError&) {
        return nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

uint64_t mixed(uint64_t a, uint64_t b) {
    uint64_t x = a * 0x9E3779B97F4A7C15ull + b + 0x632BE59BD9B4E019ull;  // splitmix64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// An open hash table from 64-bit keys to small values.
template <class Value>
class Table {
public:
    explicit Table(size_t size = 16) : slots_(size), used_(0) {}

    // The value of a key, and whether it was there.
    std::pair<Value&, bool> at(uint64_t key) {
        if (4 * used_ >= 3 * slots_.size()) grow();
        Slot& slot = find(key);
        bool known = slot.full;
        if (!known) slot = {key, Value(), true}, ++used_;
        return {slot.value, known};
    }

    void clear() {
        if (used_) std::fill(slots_.begin(), slots_.end(), Slot());
        used_ = 0;
    }

private:
    struct Slot {
        uint64_t key = 0;
        Value value = Value();
        bool full = false;
    };

    Slot& find(uint64_t key) {
        size_t mask = slots_.size() - 1, i = mixed(key, 0) & mask;
        while (slots_[i].full && slots_[i].key != key) i = (i + 1) & mask;
        return slots_[i];
    }

    void grow() {
        std::vector<Slot> old(2 * slots_.size());
        old.swap(slots_);
        for (Slot& slot : old)
            if (slot.full) find(slot.key) = slot;
    }

    std::vector<Slot> slots_;
    size_t used_;
};

// A contiguous array that Python owns.
template <class T>
struct Array {
    Py_buffer buffer{};
    const T* data = nullptr;
    Py_ssize_t size = 0;

    void take(PyObject* object, int how = 0) {
        if (PyObject_GetBuffer(object, &buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | how)) throw PythonError();
        data = static_cast<const T*>(buffer.buf);
        size = buffer.len / Py_ssize_t(sizeof(T));
        if (buffer.itemsize != sizeof(T)) {
            PyErr_SetString(PyExc_ValueError, "an array of another type was expected");
            throw PythonError();
        }
    }
    ~Array() { PyBuffer_Release(&buffer); }
    const T& operator[](Py_ssize_t i) const { return data[i]; }
};
