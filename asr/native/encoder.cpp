// Python's type Encoder: the acoustic model at work, as asr/model/compiled.py asks for it.
// tests/test_runtime.py holds the results against those of torch and onnxruntime.
#include "arrays.h"
#include "encoder.h"
#include "rows.h"

namespace {

const int SOURCES = 4;  // as in asr/native/__init__.py

struct EncoderObject {
    PyObject_HEAD
    Encoder* encoder;
};

std::vector<float> floats(PyObject* object, int count) {
    Array<float> array;
    array.take(object);
    want(array.size == count, "weights of another size were expected");
    return std::vector<float>(array.data, array.data + count);
}

// The next of a list of (weights, scales or None, bias): float32 or int8 of shape (outputs, inputs), float32, float32.
Product next_product(PyObject* list, Py_ssize_t& place, int inputs, int outputs, int lanes, Bytes dotted) {
    Product made;
    PyObject *weights, *scales, *bias, *item = PyList_GetItem(list, place++);
    if (!item || !PyArg_ParseTuple(item, "OOO", &weights, &scales, &bias)) throw PythonError();
    made.inputs = inputs, made.outputs = outputs, made.lanes = lanes, made.bytes = scales != Py_None;
    made.scale.resize(made.width()), made.bias.resize(made.width());
    std::vector<float> given = floats(bias, outputs);
    std::copy(given.begin(), given.end(), made.bias.data);
    std::fill_n(made.scale.data, made.width(), 1.0f);
    const Py_ssize_t size = Py_ssize_t(inputs) * outputs;
    if (made.bytes) {
        given = floats(scales, outputs);
        std::copy(given.begin(), given.end(), made.scale.data);
        Array<int8_t> array;
        array.take(weights);
        want(array.size == size, "weights of another size were expected");
        made.dotted = dotted;
        if (dotted) made.take_for_dots(array.data);
        else made.take(made.small, array.data);
    } else {
        Array<float> array;
        array.take(weights);
        want(array.size == size, "weights of another size were expected");
        made.take(made.large, array.data);
    }
    return made;
}

// Numbers of layers, as bytes.
std::vector<int> layers_of(PyObject* bytes, size_t layers) {
    Array<uint8_t> array;
    array.take(bytes);
    want(array.size > 0, "a head reads no layer");
    for (Py_ssize_t i = 0; i < array.size; ++i) want(array[i] < layers, "a head reads a layer that there is not");
    return std::vector<int>(array.data, array.data + array.size);
}

int encoder_init(PyObject* self, PyObject* arguments, PyObject*) {
    auto made = std::make_unique<Encoder>();
    Encoder& e = *made;
    int layers, bytes;
    PyObject *mean, *deviation, *products, *norms, *heads;
    if (!PyArg_ParseTuple(arguments, "(iiiiiii)OOO!O!O!", &e.mels, &e.channels, &e.hidden, &layers, &e.stride, &e.lanes, &bytes,
                          &mean, &deviation, &PyList_Type, &products, &PyList_Type, &norms, &PyList_Type, &heads))
        return -1;
    PyObject* done = guarded([&]() -> PyObject* {
        want(e.stride > 0 && e.mels >= FIELD && e.channels > 0 && e.hidden > 0 && layers > 0, "sizes of layers must be positive");
        want(PyList_Size(norms) == 2 * layers, "there must be two vectors of normalisation a layer");
        const Bytes dotted = bytes_at_most(bytes);  // of the recurrent layers, where most of the time goes
        e.lanes = lanes_at_most(e.lanes);
        e.mean = floats(mean, e.mels), e.deviation = floats(deviation, e.mels);
        Py_ssize_t place = 0;
        auto product = [&](int inputs, int outputs, Bytes dotted = NO_BYTES) {
            return next_product(products, place, inputs, outputs, e.lanes, dotted);
        };
        e.first = product(9, e.channels);
        e.second = product(9 * e.channels, e.channels);
        e.project = product(e.channels * e.bands(e.bands(e.mels)), e.hidden);
        for (int l = 0; l < layers; ++l) {
            Layer& layer = e.layers.emplace_back();
            for (Gru* gru : {&layer.forwards, &layer.backwards}) {
                gru->from_input = product(l ? 2 * e.hidden : e.hidden, 3 * e.hidden, dotted);
                gru->from_state = product(e.hidden, 3 * e.hidden, dotted);
            }
            layer.scale = floats(PyList_GetItem(norms, 2 * l), 2 * e.hidden);
            layer.shift = floats(PyList_GetItem(norms, 2 * l + 1), 2 * e.hidden);
        }
        for (Py_ssize_t h = 0; h < PyList_Size(heads); ++h) {
            int symbols;
            PyObject *read, *item = PyList_GetItem(heads, h);
            if (!PyArg_ParseTuple(item, "iO", &symbols, &read)) throw PythonError();
            want(symbols > 0, "a head has no symbols");
            std::vector<int> of = layers_of(read, size_t(layers));
            e.heads.push_back({product(2 * e.hidden * int(of.size()), symbols), of});
        }
        return Py_None;
    });
    if (!done) return -1;
    delete reinterpret_cast<EncoderObject*>(self)->encoder;
    reinterpret_cast<EncoderObject*>(self)->encoder = made.release();
    return 0;
}

void release(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    delete reinterpret_cast<EncoderObject*>(self)->encoder;
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

const Encoder& encoder_of(PyObject* self) {
    const Encoder* encoder = reinterpret_cast<EncoderObject*>(self)->encoder;
    if (!encoder) {
        PyErr_SetString(PyExc_RuntimeError, "this encoder has no weights");
        throw PythonError();
    }
    return *encoder;
}

// Other threads run meanwhile.
template <class Function>
void apart(Function function) {
    PyThreadState* state = PyEval_SaveThread();
    try {
        function();
    } catch (...) {
        PyEval_RestoreThread(state);
        throw;
    }
    PyEval_RestoreThread(state);
}

PyObject* subsample(PyObject* self, PyObject* arguments) {
    int streams, count;
    PyObject *frames, *out;
    if (!PyArg_ParseTuple(arguments, "iiOO", &streams, &count, &frames, &out)) return nullptr;
    return guarded([&]() -> PyObject* {
        const Encoder& e = encoder_of(self);
        want(count >= FIELD && streams >= 0, "there are too few frames");
        const Py_ssize_t size = Py_ssize_t(e.outputs(count)) * e.hidden;
        Array<float> from, to;
        from.take(frames), to.take(out, PyBUF_WRITABLE);
        want(from.size == Py_ssize_t(streams) * count * e.mels && to.size == streams * size, "frames of another shape");
        apart([&] {
            for (int b = 0; b < streams; ++b)
                e.subsample(from.data + Py_ssize_t(b) * count * e.mels, count, const_cast<float*>(to.data) + b * size);
        });
        return Py_BuildValue("");
    });
}

PyObject* advance(PyObject* self, PyObject* arguments) {
    int streams, count, width, chunk;
    PyObject *windows, *valid, *states, *outputs;
    if (!PyArg_ParseTuple(arguments, "(iiii)OOOO!", &streams, &count, &width, &chunk, &windows, &valid, &states,
                          &PyList_Type, &outputs))
        return nullptr;
    return guarded([&]() -> PyObject* {
        const Encoder& e = encoder_of(self);
        want(streams > 0 && count > 0 && chunk > 0 && width >= chunk, "windows of no size");
        const Py_ssize_t all = Py_ssize_t(streams) * count;
        Array<float> from, state;
        Array<int32_t> lengths;
        from.take(windows), lengths.take(valid), state.take(states, PyBUF_WRITABLE);
        want(from.size == all * width * e.hidden && lengths.size == all, "windows of another shape");
        want(state.size == Py_ssize_t(e.layers.size()) * streams * e.hidden, "states of another shape");
        want(PyList_Size(outputs) == Py_ssize_t(e.heads.size()), "an array for each head is wanted");
        std::vector<Array<float>> arrays(e.heads.size());
        std::vector<float*> out;
        for (size_t i = 0; i < arrays.size(); ++i) {
            arrays[i].take(PyList_GetItem(outputs, Py_ssize_t(i)), PyBUF_WRITABLE);
            want(arrays[i].size == all * width * e.heads[i].product.outputs, "an output of another shape");
            out.push_back(const_cast<float*>(arrays[i].data));
        }
        apart([&] {
            e.advance(from.data, lengths.data, streams, count, width, chunk, const_cast<float*>(state.data), out);
        });
        return Py_BuildValue("");
    });
}

PyObject* product(PyObject*, PyObject* arguments) {
    int rows, inputs, outputs, lanes, bytes;
    PyObject *x, *list, *out;
    if (!PyArg_ParseTuple(arguments, "(iii)(ii)OO!O", &rows, &inputs, &outputs, &lanes, &bytes, &x, &PyList_Type, &list, &out))
        return nullptr;
    return guarded([&]() -> PyObject* {
        want(rows >= 0 && inputs > 0 && outputs > 0, "sizes must be positive");
        Py_ssize_t place = 0;
        const Product one = next_product(list, place, inputs, outputs, lanes_at_most(lanes), bytes_at_most(bytes));
        Array<float> from, to;
        from.take(x), to.take(out, PyBUF_WRITABLE);
        want(from.size == Py_ssize_t(rows) * inputs && to.size == Py_ssize_t(rows) * outputs, "rows of another shape");
        std::vector<float> y(rows * one.width());
        one(from.data, rows, inputs, y.data(), one.width());
        for (int r = 0; r < rows; ++r)
            std::copy_n(y.data() + r * one.width(), outputs, const_cast<float*>(to.data) + Py_ssize_t(r) * outputs);
        return PyLong_FromLong(one.dotted);
    });
}

// Of the functions of rows.h, whose arrays are float32 and contiguous.
PyObject* affine(PyObject*, PyObject* arguments) {
    Py_ssize_t rows;
    int inputs, outputs;
    PyObject *x, *w, *bias, *out;
    if (!PyArg_ParseTuple(arguments, "(nii)OOOO", &rows, &inputs, &outputs, &x, &w, &bias, &out)) return nullptr;
    return guarded([&]() -> PyObject* {
        Array<float> of_x, of_w, of_bias, to;
        of_x.take(x), of_w.take(w), of_bias.take(bias), to.take(out, PyBUF_WRITABLE);
        want(rows >= 0 && inputs >= 0 && outputs >= 0, "sizes below zero");
        want(of_x.size == rows * inputs && of_w.size == Py_ssize_t(inputs) * outputs && of_bias.size == outputs &&
             to.size == rows * outputs, "rows and a matrix that do not fit together");
        apart([&] {
            with_lanes(lanes_at_most(16), [&](auto l, auto r) INLINED {
                ::affine<l, r>(of_w.data, inputs, outputs, of_bias.data, of_x.data, rows, const_cast<float*>(to.data));
            });
        });
        return Py_BuildValue("");
    });
}

PyObject* recur(PyObject*, PyObject* arguments) {
    Py_ssize_t steps, rows;
    int hidden;
    PyObject *given, *h, *w, *bias, *out;
    if (!PyArg_ParseTuple(arguments, "(nni)OOOOO", &steps, &rows, &hidden, &given, &h, &w, &bias, &out)) return nullptr;
    return guarded([&]() -> PyObject* {
        Array<float> from, state, of_w, of_bias, to;
        from.take(given), state.take(h), of_w.take(w), of_bias.take(bias), to.take(out, PyBUF_WRITABLE);
        want(steps >= 0 && rows >= 0 && hidden >= 0, "sizes below zero");
        want(from.size == steps * rows * 3 * hidden && state.size == rows * hidden && to.size == steps * state.size &&
             of_w.size == Py_ssize_t(hidden) * 3 * hidden && of_bias.size == 3 * hidden, "a GRU whose arrays do not fit");
        std::vector<float> own(rows * 3 * hidden), goes_on(state.data, state.data + state.size);
        apart([&] {
            with_lanes(lanes_at_most(16), [&](auto l, auto r) INLINED {
                ::recur<l, r>(from.data, goes_on.data(), of_w.data, of_bias.data, steps, rows, hidden,
                              const_cast<float*>(to.data), own.data());
            });
        });
        return Py_BuildValue("");
    });
}

PyObject* filtered(PyObject*, PyObject* arguments) {
    PyObject *spectrum, *weights, *first, *low, *out;
    if (!PyArg_ParseTuple(arguments, "OOOOO", &spectrum, &weights, &first, &low, &out)) return nullptr;
    return guarded([&]() -> PyObject* {
        struct Complex { float real, imaginary; };
        Array<Complex> from;
        Array<float> of, to;
        Array<int32_t> firsts, lows;
        from.take(spectrum), of.take(weights), firsts.take(first), lows.take(low), to.take(out, PyBUF_WRITABLE);
        const int filters = int(lows.size);
        want(filters > 0 && firsts.size == filters + 1 && to.size % filters == 0, "filters of another number");
        const Py_ssize_t frames = to.size / filters, bins = frames ? from.size / frames : 0;
        want(from.size == frames * bins, "a spectrum of another shape");
        for (int k = 0; k < filters; ++k)
            want(0 <= firsts[k] && firsts[k] <= firsts[k + 1] && firsts[k + 1] <= of.size && 0 <= lows[k] &&
                 (!frames || lows[k] + firsts[k + 1] - firsts[k] <= bins), "filters beyond the spectrum");
        std::vector<float> power(bins);
        apart([&] {
            with_lanes(lanes_at_most(16), [&](auto, auto) INLINED {
                ::filtered(&from.data->real, frames, int(bins), of.data, firsts.data, lows.data, filters, power.data(),
                           const_cast<float*>(to.data));
            });
        });
        return Py_BuildValue("");
    });
}

PyMethodDef functions[] = {
    {"product", product, METH_VARARGS,
     "product((n, D, M), (lanes, bytes), x, [(weights, scales, bias)], out): as an encoder does -> kind of bytes, or 0."},
    {"affine", affine, METH_VARARGS, "affine((n, D, M), x, w, bias, out): x (n, D) times w (D, M) and bias, each row by itself."},
    {"recur", recur, METH_VARARGS, "recur((T, n, H), given, h, w, bias, out): as asr.numpy_gru.gru."},
    {"filtered", filtered, METH_VARARGS, "filtered(spectrum, weights, first, low, out): as asr.audio.features.LogMel."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef methods[] = {
    {"subsample", subsample, METH_VARARGS, "subsample(B, T, frames, out): (B, T, n_mels) -> (B, T', hidden)."},
    {"advance", advance, METH_VARARGS,
     "advance((B, n, W, Nc), windows, valid, states, outputs): as asr.model.interface; states go on where they lie."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(encoder_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(release)},
    {Py_tp_methods, methods},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {0, nullptr},
};
PyType_Spec spec = {"asr.native.encoder.Encoder", sizeof(EncoderObject), 0, Py_TPFLAGS_DEFAULT, slots};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "encoder", "The acoustic model at work.", -1,
                      functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_encoder() {
    PyObject* made = PyModule_Create(&module);
    PyObject* type = PyType_FromSpec(&spec);
    if (!made || !type || PyModule_AddObject(made, "Encoder", type)) return nullptr;
    if (PyModule_AddIntConstant(made, "SOURCES", SOURCES)) return nullptr;
    return made;
}
