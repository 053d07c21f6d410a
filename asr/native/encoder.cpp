// Python's type Encoder: the acoustic model at work, as asr/model/compiled.py asks for it.
// tests/test_runtime.py holds the results against those of torch and onnxruntime.
#include "arrays.h"
#include "encoder.h"

namespace {

const int SOURCES = 1;  // as in asr/native/__init__.py

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
Product next_product(PyObject* list, Py_ssize_t& place, int inputs, int outputs, int lanes) {
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
        made.take(made.small, array.data);
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
    int layers;
    PyObject *mean, *deviation, *products, *norms, *heads;
    if (!PyArg_ParseTuple(arguments, "(iiiii)OOO!O!O!", &e.mels, &e.channels, &e.hidden, &layers, &e.lanes, &mean, &deviation,
                          &PyList_Type, &products, &PyList_Type, &norms, &PyList_Type, &heads))
        return -1;
    PyObject* done = guarded([&]() -> PyObject* {
        want(e.mels >= FIELD && e.channels > 0 && e.hidden > 0 && layers > 0, "sizes of layers must be positive");
        want(PyList_Size(norms) == 2 * layers, "there must be two vectors of normalisation a layer");
        e.lanes = lanes_at_most(e.lanes);
        e.mean = floats(mean, e.mels), e.deviation = floats(deviation, e.mels);
        Py_ssize_t place = 0;
        auto product = [&](int inputs, int outputs) { return next_product(products, place, inputs, outputs, e.lanes); };
        e.first = product(9, e.channels);
        e.second = product(9 * e.channels, e.channels);
        e.project = product(e.channels * e.bands(e.bands(e.mels)), e.hidden);
        for (int l = 0; l < layers; ++l) {
            Layer& layer = e.layers.emplace_back();
            for (Gru* gru : {&layer.forwards, &layer.backwards}) {
                gru->from_input = product(l ? 2 * e.hidden : e.hidden, 3 * e.hidden);
                gru->from_state = product(e.hidden, 3 * e.hidden);
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
        const Py_ssize_t size = Py_ssize_t((count - FIELD) / STRIDE + 1) * e.hidden;
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
                      nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_encoder() {
    PyObject* made = PyModule_Create(&module);
    PyObject* type = PyType_FromSpec(&spec);
    if (!made || !type || PyModule_AddObject(made, "Encoder", type)) return nullptr;
    if (PyModule_AddIntConstant(made, "SOURCES", SOURCES)) return nullptr;
    return made;
}
