// The search of asr/search/words.py, compiled: Python's types Engine and State; and asr/search/ctc_paths.py's scores.
// tests/test_compiled_search.py holds the results against those of the Python.
#include "engine.h"
#include "forward.h"
#include "index.h"
#include "spelling.h"

namespace {

const int SOURCES = 8;  // as in asr/native/__init__.py

struct EngineObject {
    PyObject_HEAD
    Engine* engine;
};

struct StateObject {
    PyObject_HEAD
    State* state;
};

struct IndexObject {
    PyObject_HEAD
    Index* index;
};

PyTypeObject* state_type;

template <class Object>
void release(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    if constexpr (std::is_same_v<Object, EngineObject>) delete reinterpret_cast<EngineObject*>(self)->engine;
    else delete reinterpret_cast<StateObject*>(self)->state;
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

PyObject* wrapped(State&& state) {
    auto* object = reinterpret_cast<StateObject*>(PyType_GenericAlloc(state_type, 0));
    if (object) object->state = new State(std::move(state));
    return reinterpret_cast<PyObject*>(object);
}

PyObject* words_of(const Text* text) {
    std::vector<int32_t> words;
    for (; text && text->parent; text = text->parent) words.push_back(text->word);
    PyObject* list = PyList_New(Py_ssize_t(words.size()));
    for (size_t i = 0; list && i < words.size(); ++i)
        PyList_SetItem(list, Py_ssize_t(i), PyLong_FromLong(words[words.size() - 1 - i]));
    return list;
}

// asr.language.ngram.NgramModel.native
void take_levels(PyObject* levels, Ngrams& lm) {
    for (Py_ssize_t n = 0; n < PyTuple_Size(levels); ++n) {
        PyObject *records, *is_node, *ranks, *nodes, *probs, *backoffs;
        long long size;
        Level& level = lm.levels.emplace_back();
        if (!PyArg_ParseTuple(PyTuple_GetItem(levels, n), "OOOOOOLii", &records, &is_node, &ranks, &nodes, &probs,
                              &backoffs, &size, &level.word_bits, &level.start_bits))
            throw PythonError();
        level.size = size;
        level.records.take(records), level.is_node.take(is_node), level.ranks.take(ranks);
        level.nodes.take(nodes), level.prob_table.take(probs), level.backoff_table.take(backoffs);
        level.prepare();
    }
}

int engine_init(PyObject* self, PyObject* arguments, PyObject*) {
    auto engine = std::make_unique<Engine>();
    PyObject *said, *first, *word, *lm_word, *penalty, *due, *boosted, *levels, *after, *end_of;
    Options& o = engine->o;
    if (!PyArg_ParseTuple(arguments, "OOOOOOOO!OO(iidddddii)", &said, &first, &word, &lm_word, &penalty, &due, &boosted,
                          &PyTuple_Type, &levels, &after, &end_of, &o.beam, &o.symbols, &o.lm_weight, &o.word_bonus,
                          &o.sure_blank, &o.least_symbol, &o.width, &o.recombine, &o.look_ahead))
        return -1;
    PyObject* made = guarded([&]() -> PyObject* {
        engine->said.take(said), engine->said_first.take(first), engine->word.take(word);
        engine->lm_word.take(lm_word), engine->penalty.take(penalty), engine->due.take(due);
        engine->hotwords.begin.take(boosted);
        take_levels(levels, engine->lm);
        if (after != Py_None) engine->hotwords.take(after, end_of);
        engine->prepare();
        return Py_None;
    });
    if (!made) return -1;
    reinterpret_cast<EngineObject*>(self)->engine = engine.release();
    return 0;
}

Engine& engine_of(PyObject* self) { return *reinterpret_cast<EngineObject*>(self)->engine; }

const State& state_of(PyObject* object) {
    if (Py_TYPE(object) != state_type) {
        PyErr_SetString(PyExc_TypeError, "this is not a state of the compiled search");
        throw PythonError();
    }
    return *reinterpret_cast<StateObject*>(object)->state;
}

PyObject* engine_start(PyObject* self, PyObject*) {
    return guarded([&] { return wrapped(engine_of(self).start()); });
}

PyObject* engine_feed(PyObject* self, PyObject* arguments) {
    PyObject *before, *log_probs;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(arguments, "OOn", &before, &log_probs, &width)) return nullptr;
    return guarded([&] {
        State state = state_of(before);
        Array<double> rows;
        rows.take(log_probs);
        engine_of(self).feed(state, rows.data, width ? rows.size / width : 0, width);
        return wrapped(std::move(state));
    });
}

PyObject* engine_best(PyObject* self, PyObject* arguments) {
    PyObject* state;
    Py_ssize_t n;
    int shown;
    if (!PyArg_ParseTuple(arguments, "Onp", &state, &n, &shown)) return nullptr;
    return guarded([&]() -> PyObject* {
        std::vector<Found> found = engine_of(self).best(state_of(state), size_t(n), shown);
        PyObject* list = PyList_New(0);
        for (const Found& f : found) {
            PyObject* row = Py_BuildValue("(Nddd)", words_of(f.text), f.score, f.acoustic, f.language);
            if (!list || !row || PyList_Append(list, row)) throw PythonError();
            Py_DECREF(row);
        }
        return list;
    });
}

PyObject* engine_so_far(PyObject* self, PyObject* state) {
    return guarded([&] {
        auto [text, stable] = engine_of(self).so_far(state_of(state));
        return Py_BuildValue("(Ni)", words_of(text), stable);
    });
}

PyMethodDef engine_methods[] = {
    {"start", engine_start, METH_NOARGS, "The state before the first frame."},
    {"feed", engine_feed, METH_VARARGS, "feed(state, log_probs, width): the state after frames (T, width) float64."},
    {"best", engine_best, METH_VARARGS, "best(state, n, shown): rows (words, score, acoustic, language), best first."},
    {"so_far", engine_so_far, METH_O, "so_far(state): the words to show, and how many will not change."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot engine_slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(engine_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(release<EngineObject>)},
    {Py_tp_methods, engine_methods},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {0, nullptr},
};
PyType_Spec engine_spec = {"asr.native.search.Engine", sizeof(EngineObject), 0, Py_TPFLAGS_DEFAULT, engine_slots};

PyType_Slot state_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(release<StateObject>)}, {0, nullptr}};
PyType_Spec state_spec = {"asr.native.search.State", sizeof(StateObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, state_slots};

int index_init(PyObject* self, PyObject* arguments, PyObject*) {
    PyObject* words;
    if (!PyArg_ParseTuple(arguments, "O!", &PyList_Type, &words)) return -1;
    return guarded([&]() -> PyObject* {
        auto made = std::make_unique<Index>(words);
        delete reinterpret_cast<IndexObject*>(self)->index;
        reinterpret_cast<IndexObject*>(self)->index = made.release();
        return Py_None;
    }) ? 0 : -1;
}

void index_release(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    delete reinterpret_cast<IndexObject*>(self)->index;
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

Index& index_of(PyObject* self) {
    Index* index = reinterpret_cast<IndexObject*>(self)->index;
    want(index, "this index has no words");
    return *index;
}

// -2: an exception is set
int place_of(PyObject* self, PyObject* word) {
    int32_t place = -1;
    return guarded([&] { return PyUnicode_Check(word) ? (place = index_of(self).find(word), Py_None) : Py_None; }) ? place : -2;
}

int index_contains(PyObject* self, PyObject* word) {
    const int place = place_of(self, word);
    return place == -2 ? -1 : place >= 0;
}

PyObject* index_item(PyObject* self, PyObject* word) {
    const int place = place_of(self, word);
    if (place == -1) PyErr_SetObject(PyExc_KeyError, word);
    return place < 0 ? nullptr : PyLong_FromLong(place);
}

PyObject* index_get(PyObject* self, PyObject* word) {
    const int place = place_of(self, word);
    return place == -2 ? nullptr : place == -1 ? Py_BuildValue("") : PyLong_FromLong(place);
}

PyObject* index_find(PyObject* self, PyObject* arguments) {
    PyObject *words, *out;
    if (!PyArg_ParseTuple(arguments, "O!O", &PyList_Type, &words, &out)) return nullptr;
    return guarded([&]() -> PyObject* {
        Index& index = index_of(self);
        Array<int64_t> places;
        places.take(out, PyBUF_WRITABLE);
        want(places.size == PyList_Size(words), "a place for each word is wanted");
        index.find_all(words, [&](Py_ssize_t i, int32_t place) {
            const_cast<int64_t*>(places.data)[i] = place;
            if (place < 0) return;
            PyObject* own = PyList_GetItem(index.words(), place);
            Py_INCREF(own);
            PyList_SetItem(words, i, own);
        });
        return Py_BuildValue("");
    });
}

Py_ssize_t index_length(PyObject* self) {
    Index* index = reinterpret_cast<IndexObject*>(self)->index;
    return index ? PyList_Size(index->words()) : 0;
}

PyObject* index_iterate(PyObject* self) {
    return guarded([&] { return PyObject_GetIter(index_of(self).words()); });
}

PyObject* index_reduce(PyObject* self, PyObject*) {
    return guarded([&] { return Py_BuildValue("(O(O))", Py_TYPE(self), index_of(self).words()); });
}

PyMethodDef index_methods[] = {
    {"get", index_get, METH_O, "The place of a word, or None."},
    {"find", index_find, METH_VARARGS,
     "find(words, out): the place of each of a list's words, -1 of none; those found become the index's own strings."},
    {"__reduce__", index_reduce, METH_NOARGS, "For pickle."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot index_slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(index_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(index_release)},
    {Py_tp_methods, index_methods},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_iter, reinterpret_cast<void*>(index_iterate)},
    {Py_sq_contains, reinterpret_cast<void*>(index_contains)},
    {Py_mp_subscript, reinterpret_cast<void*>(index_item)},
    {Py_mp_length, reinterpret_cast<void*>(index_length)},
    {0, nullptr},
};
PyType_Spec index_spec = {"asr.native.search.Index", sizeof(IndexObject), 0, Py_TPFLAGS_DEFAULT, index_slots};

PyObject* ctc_scores(PyObject*, PyObject* arguments) {
    PyObject *probabilities, *symbols, *first;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(arguments, "OnOO", &probabilities, &width, &symbols, &first)) return nullptr;
    return guarded([&]() -> PyObject* {
        Array<double> rows;
        Array<int32_t> texts;
        Array<int64_t> begin;
        rows.take(probabilities), texts.take(symbols), begin.take(first);
        for (Py_ssize_t i = 0; i < texts.size; ++i)
            if (texts[i] < 0 || texts[i] >= width) {
                PyErr_SetString(PyExc_IndexError, "a text has a symbol that the log-probabilities lack");
                throw PythonError();
            }
        PyObject* list = PyList_New(begin.size - 1);
        for (Py_ssize_t i = 0; list && i + 1 < begin.size; ++i) {
            const int length = int(begin[i + 1] - begin[i]);
            double score = ctc_score(rows.data, rows.size / width, width, texts.data + begin[i], length);
            PyList_SetItem(list, i, PyFloat_FromDouble(score));
        }
        return list;
    });
}

PyObject* best_paths(PyObject*, PyObject* arguments) {
    PyObject *given, *log_probs, *columns, *skip, *steps, *after;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(arguments, "OOnOOOO", &given, &log_probs, &width, &columns, &skip, &steps, &after)) return nullptr;
    return guarded([&]() -> PyObject* {
        Array<float> scores, rows, skips, kept;
        Array<int64_t> of_states;
        Array<int8_t> taken;
        scores.take(given, PyBUF_WRITABLE), rows.take(log_probs), of_states.take(columns), skips.take(skip);
        if (steps != Py_None) taken.take(steps, PyBUF_WRITABLE);
        if (after != Py_None) kept.take(after, PyBUF_WRITABLE);
        const Py_ssize_t states = scores.size, frames = width > 0 ? rows.size / width : 0;
        bool good = of_states.size == states && skips.size == states && (!taken.data || taken.size == frames * states) &&
                    (!kept.data || kept.size == frames * states);
        for (Py_ssize_t s = 0; good && s < states; ++s) good = of_states[s] >= 0 && of_states[s] < width;
        if (!good) {
            PyErr_SetString(PyExc_ValueError, "arrays of other shapes, or columns that the log-probabilities lack");
            throw PythonError();
        }
        ::best_paths(const_cast<float*>(scores.data), states, rows.data, frames, width, of_states.data, skips.data,
                     const_cast<int8_t*>(taken.data), const_cast<float*>(kept.data));
        return Py_BuildValue("");
    });
}

PyObject* spell(PyObject*, PyObject* arguments) {
    PyObject *levels, *letters, *first, *chunks, *chunk_first;
    int beam;
    if (!PyArg_ParseTuple(arguments, "O!OOOOi", &PyTuple_Type, &levels, &letters, &first, &chunks, &chunk_first, &beam))
        return nullptr;
    return guarded([&]() -> PyObject* {
        Ngrams lm;
        take_levels(levels, lm);
        Array<uint8_t> words;
        Array<int64_t> begin, chunk_begin;
        Array<int32_t> tokens;
        words.take(letters), begin.take(first), tokens.take(chunks), chunk_begin.take(chunk_first);
        PyObject* list = PyList_New(begin.size - 1);
        for (Py_ssize_t i = 0; list && i + 1 < begin.size; ++i) {
            PyObject* ways = PyList_New(0);
            for (const Spelt& way : spelt(lm, words.data + begin[i], begin[i + 1] - begin[i], tokens, chunk_begin, beam)) {
                PyObject* row = PyList_New(Py_ssize_t(way.tokens.size()) - 1);  // without the end
                for (size_t k = 0; row && k + 1 < way.tokens.size(); ++k)
                    PyList_SetItem(row, Py_ssize_t(k), PyLong_FromLong(way.tokens[k]));
                PyObject* pair = Py_BuildValue("(dN)", way.score, row);
                if (!ways || !pair || PyList_Append(ways, pair)) throw PythonError();
                Py_DECREF(pair);
            }
            PyList_SetItem(list, i, ways);
        }
        return list;
    });
}

PyMethodDef functions[] = {
    {"ctc_scores", ctc_scores, METH_VARARGS,
     "ctc_scores(probabilities, width, symbols, first): ln probability of texts, whose symbols follow one another."},
    {"best_paths", best_paths, METH_VARARGS,
     "best_paths(scores, log_probs, width, columns, skip, steps, after): scores go on, steps and after (or None) are written."},
    {"spell", spell, METH_VARARGS,
     "spell(levels, letters, first, chunks, chunk_first, beam): of each word its ways (score, chunks), best first."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "search", "Inner loops of asr.search.words and asr.search.ctc_paths.", -1,
                      functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_search() {
    PyObject* made = PyModule_Create(&module);
    if (!made) return nullptr;
    state_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&state_spec));
    PyObject* engine_type = PyType_FromSpec(&engine_spec);
    PyObject* index_type = PyType_FromSpec(&index_spec);
    if (!state_type || !engine_type || PyModule_AddObject(made, "Engine", engine_type)) return nullptr;
    if (!index_type || PyModule_AddObject(made, "Index", index_type)) return nullptr;
    if (PyModule_AddIntConstant(made, "SOURCES", SOURCES)) return nullptr;
    return made;
}
