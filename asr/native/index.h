// Where each of many words stands in a list: a dict from words to numbers in a tenth of the memory, made at once.
#pragma once
#include <cstring>

#include "arrays.h"

class Index {
public:
    explicit Index(PyObject* words) : words_(words) {
        const Py_ssize_t count = PyList_Size(words);
        want(count < INT32_MAX / 4, "too many words");
        size_t size = 16;
        while (size < 2 * size_t(count)) size *= 2;
        slots_.resize(size);
        for (Py_ssize_t i = 0; i < count; ++i) {
            const uint64_t hash = hash_of(PyList_GetItem(words, i));
            *slot(hash, PyList_GetItem(words, i)) = {uint32_t(hash >> 32), int32_t(i)};
        }
        Py_INCREF(words);
    }
    ~Index() { Py_DECREF(words_); }
    Index(const Index&) = delete;

    int32_t find(PyObject* word) { return slot(hash_of(word), word)->place; }  // -1: it is not there
    PyObject* words() const { return words_; }

    // Of each word of a list; memory that one will need is asked for while others are looked up.
    template <class Use>
    void find_all(PyObject* list, Use use) {
        const Py_ssize_t count = PyList_Size(list), apart = 8;
        std::vector<uint64_t> hashes(size_t(count), 0);
        for (Py_ssize_t i = 0; i < count; ++i) hashes[i] = hash_of(PyList_GetItem(list, i));
        for (Py_ssize_t i = 0; i < count; ++i) {
            if (i + 2 * apart < count) __builtin_prefetch(&slots_[hashes[i + 2 * apart] & (slots_.size() - 1)]);
            if (i + apart < count) {
                const Slot& next = slots_[hashes[i + apart] & (slots_.size() - 1)];
                if (next.place >= 0) __builtin_prefetch(PyList_GetItem(words_, next.place));
            }
            use(i, slot(hashes[i], PyList_GetItem(list, i))->place);
        }
    }

private:
    struct Slot {
        uint32_t hash = 0;
        int32_t place = -1;
    };

    static const char* bytes(PyObject* word, Py_ssize_t& size) {
        const char* found = PyUnicode_AsUTF8AndSize(word, &size);
        if (!found) throw PythonError();
        return found;
    }

    static uint64_t hash_of(PyObject* word) {
        Py_ssize_t size;
        const char* text = bytes(word, size);
        uint64_t hash = uint64_t(size);
        for (Py_ssize_t i = 0; i < size; i += 8) {
            uint64_t part = 0;
            std::memcpy(&part, text + i, size_t(std::min<Py_ssize_t>(8, size - i)));
            hash = mixed(hash, part);
        }
        return hash;
    }

    // A word's slot, or the empty one that it would take.
    Slot* slot(uint64_t hash, PyObject* word) {
        Py_ssize_t size, other;
        const size_t mask = slots_.size() - 1;
        for (size_t i = hash & mask;; i = (i + 1) & mask) {
            if (slots_[i].place < 0) return &slots_[i];
            if (slots_[i].hash != uint32_t(hash >> 32)) continue;
            const char *text = bytes(word, size), *there = bytes(PyList_GetItem(words_, slots_[i].place), other);
            if (other == size && !std::memcmp(text, there, size_t(size))) return &slots_[i];
        }
    }

    PyObject* words_;
    std::vector<Slot> slots_;
};
