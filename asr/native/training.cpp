// What makes training fast on a CPU: a GRU over whole sequences where the processor multiplies bf16, and the
// denominator of CTC-CRF.
#include "arrays.h"
#include "ctc_crf.h"
#include "gru.h"

namespace {

const long SOURCES = 2;  // which calls this file answers to; it counts up with them

template <class T>
T* writable(Array<T>& array, PyObject* object, Py_ssize_t size) {
    array.take(object, PyBUF_WRITABLE);
    want(array.size == size, "an array of another shape");
    return const_cast<T*>(array.data);
}

template <class T>
const T* readable(Array<T>& array, PyObject* object, Py_ssize_t size) {
    array.take(object);
    want(array.size == size, "an array of another shape");
    return array.data;
}

PyObject* log_denominator(PyObject*, PyObject* arguments) {
    int batch, frames, n;
    PyObject* given[5];
    if (!PyArg_ParseTuple(arguments, "(iii)OOOOO", &batch, &frames, &n, given, given + 1, given + 2, given + 3, given + 4))
        return nullptr;
    return guarded([&]() -> PyObject* {
        want(n > 0 && n <= ROW, "too many symbols");
        const Py_ssize_t all = Py_ssize_t(batch) * frames * n;
        Array<float> a, b, c, d;
        Array<int32_t> e;
        const float* probs = readable(a, given[0], all);
        const int32_t* lengths = readable(e, given[1], batch);
        float *total = writable(c, given[3], batch), *occupied = writable(d, given[4], all);
        const Denominator denominator(n, readable(b, given[2], Py_ssize_t(n) * n * n));
        for (int u = 0; u < batch; ++u) want(lengths[u] > 0 && lengths[u] <= frames, "an utterance of no frames");
        std::fill(occupied, occupied + all, 0.0f);
        for (int u = 0; u < batch; ++u) {
            const size_t at = size_t(u) * frames * n;
            total[u] = denominator(lengths[u], probs + at, occupied + at);
        }
        return Py_BuildValue("");
    });
}

#ifdef HAVE_BF16
PyObject* forward(PyObject*, PyObject* arguments) {
    int batch, time, size;
    PyObject* given[8];
    if (!PyArg_ParseTuple(arguments, "(iii)OOOOOOOO", &batch, &time, &size, given, given + 1, given + 2, given + 3,
                          given + 4, given + 5, given + 6, given + 7))
        return nullptr;
    return guarded([&]() -> PyObject* {
        want(size % DEPTH == 0, "states are to be a multiple of 32");
        const Py_ssize_t all = Py_ssize_t(batch) * time * size;
        Array<bf16> x, u, before, gates;
        Array<float> bias, first, y, fresh;
        readable(x, given[0], 3 * all), readable(u, given[1], Py_ssize_t(3) * size * size);
        readable(bias, given[2], size), readable(first, given[3], Py_ssize_t(batch) * size);
        const auto run = tiles_ready() ? gru_forward<Tiles> : gru_forward<Dots>;
        run(batch, time, size, x.data, u.data, bias.data, first.data, writable(y, given[4], all),
            writable(before, given[5], all), writable(gates, given[6], 3 * all), writable(fresh, given[7], all));
        return Py_BuildValue("");
    });
}

PyObject* backward(PyObject*, PyObject* arguments) {
    int batch, time, size;
    PyObject* given[9];
    if (!PyArg_ParseTuple(arguments, "(iii)OOOOOOOOO", &batch, &time, &size, given, given + 1, given + 2, given + 3,
                          given + 4, given + 5, given + 6, given + 7, given + 8))
        return nullptr;
    return guarded([&]() -> PyObject* {
        want(size % DEPTH == 0, "states are to be a multiple of 32");
        const Py_ssize_t all = Py_ssize_t(batch) * time * size, states = Py_ssize_t(batch) * size;
        Array<bf16> u, gates, d_given, d_own;
        Array<float> dy, first, y, fresh, d_first;
        readable(dy, given[0], all), readable(u, given[1], Py_ssize_t(3) * size * size);
        readable(first, given[2], states), readable(y, given[3], all);
        readable(gates, given[4], 3 * all), readable(fresh, given[5], all);
        const auto run = tiles_ready() ? gru_backward<Tiles> : gru_backward<Dots>;
        run(batch, time, size, dy.data, u.data, first.data, y.data, gates.data, fresh.data,
            writable(d_given, given[6], 3 * all), writable(d_own, given[7], 3 * all),
            writable(d_first, given[8], states));
        return Py_BuildValue("");
    });
}
#else
bool bf16_ready() { return false; }
#endif

PyMethodDef methods[] = {
    {"log_denominator", log_denominator, METH_VARARGS,
     "log_denominator((B, T, N), probs, lengths, trigram, total, occupied): see asr.training.ctc_crf."},
#ifdef HAVE_BF16
    {"gru_forward", forward, METH_VARARGS,
     "gru_forward((B, T, H), x, u, bias, first, y, before, gates, fresh): see asr/native/gru.h."},
    {"gru_backward", backward, METH_VARARGS,
     "gru_backward((B, T, H), dy, u, first, y, gates, fresh, d_given, d_own, d_first): see asr/native/gru.h."},
#endif
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "training", "What makes training fast on a CPU.", -1,
                      methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_training() {
    PyObject* made = PyModule_Create(&module);
    if (!made || PyModule_AddIntConstant(made, "SOURCES", SOURCES)) return nullptr;
    if (PyModule_AddIntConstant(made, "HAS_BF16", bf16_ready())) return nullptr;
    if (PyModule_AddIntConstant(made, "MAX_SYMBOLS", ROW)) return nullptr;
    return made;
}
