// Vectors as wide as the processor has them.
#pragma once
#include <cstdint>
#include <type_traits>

#if !defined(__GNUC__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "asr.native.encoder wants the vectors of GCC or Clang, and low bytes first"
#endif
#define INLINED __attribute__((always_inline))
#define INLINE inline INLINED

template <int L>
struct Vectors {
    typedef float F __attribute__((vector_size(4 * L)));
    typedef int32_t I __attribute__((vector_size(4 * L)));
};

// Numbers in a vector that this processor has, at most so many.
inline int lanes_at_most(int most) {
#ifdef __x86_64__
    if (most >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 16;
    if (most >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
    return 4;
}

template <int N>
using Int = std::integral_constant<int, N>;
#ifdef __x86_64__
template <class Work>
__attribute__((target("avx2,fma"))) void wide(const Work& work) {
    work(Int<8>(), Int<2>());
}
template <class Work>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))) void widest(const Work& work) {
    work(Int<16>(), Int<6>());
}
#endif

// work(L, R), a lambda that is INLINED, compiled for vectors of L numbers and R rows at a time.
template <class Work>
INLINE void with_lanes(int lanes, const Work& work) {
#ifdef __x86_64__
    if (lanes == 16) return widest(work);
    if (lanes == 8) return wide(work);
#endif
    work(Int<4>(), Int<2>());
}
