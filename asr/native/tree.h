// asr.search.tree.PronunciationTree, made at once.
#pragma once
#include <cmath>

#include "arrays.h"

const double LEAST = -600.0;  // ln; keeps scores above zero

struct Node {
    int32_t low, high, child = 0;  // pronunciations, first child
    uint16_t words = 0;            // pronounced exactly so: from low on
    uint8_t symbol = 0, depth = 0, children = 0;
    double alone = 0.0;  // weighted probability of the likeliest word, without context
};

struct Tree {
    std::vector<Node> nodes;  // the children of a node side by side, by symbol

    void build(const Array<uint8_t>& said, const Array<int64_t>& first, const Array<double>& due) {
        Node root;
        root.low = 0, root.high = int32_t(first.size - 1);
        nodes.push_back(root);
        for (size_t i = 0; i < nodes.size(); ++i) expand(i, said, first);
        for (size_t i = nodes.size(); i--;) {
            Node& node = nodes[i];
            for (int32_t k = node.low; k < node.low + node.words; ++k)
                node.alone = std::max(node.alone, std::exp(std::max(due[k], LEAST)));
            for (int k = 0; k < node.children; ++k) node.alone = std::max(node.alone, nodes[node.child + k].alone);
        }
    }

    int child(int parent, int symbol) const {  // -1: none
        const Node& node = nodes[parent];
        int low = node.child, high = low + node.children;
        while (low < high) {
            int middle = (low + high) / 2;
            if (nodes[middle].symbol < symbol) low = middle + 1;
            else high = middle;
        }
        return low < node.child + node.children && nodes[low].symbol == symbol ? low : -1;
    }

private:
    void expand(size_t i, const Array<uint8_t>& said, const Array<int64_t>& first) {
        Node parent = nodes[i];
        nodes[i].child = int32_t(nodes.size());
        for (int32_t low = parent.low + parent.words; low < parent.high;) {
            Node node;
            node.symbol = said[first[low] + parent.depth];
            node.depth = parent.depth + 1;
            node.low = node.high = low;
            while (node.high < parent.high && said[first[node.high] + parent.depth] == node.symbol) {
                node.words += first[node.high + 1] - first[node.high] == node.depth;
                ++node.high;
            }
            low = node.high;
            nodes.push_back(node);
            ++nodes[i].children;
        }
    }
};
