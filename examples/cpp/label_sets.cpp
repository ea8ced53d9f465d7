// Names the organelles in one field, with a model made by: python -m export onnx RUN -o model.onnx --raw-planes
//   g++ -std=c++17 label_sets.cpp -I ORT/include -L ORT/lib -lonnxruntime -o label_sets    # ORT: onnxruntime for C++
//   ./label_sets model.onnx red.pgm green.pgm blue.pgm yellow.pgm
#include <onnxruntime_cxx_api.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>

// Appends one 8-bit plane. A program that has its planes in memory appends the camera's buffers instead.
std::array<int64_t, 2> append_pgm(const std::string& path, std::vector<uint8_t>& planes) {
    std::ifstream file(path, std::ios::binary);
    std::array<std::string, 4> header;  // magic, width, height, white level; a comment can stand in between
    for (auto& word : header)
        while (file >> word && word[0] == '#') std::getline(file, word);
    if (!file || header[0] != "P5" || header[3] != "255") throw std::runtime_error(path + ": no 8-bit PGM file");
    const int64_t width = std::stoll(header[1]), height = std::stoll(header[2]);
    const auto start = planes.size();
    planes.resize(start + width * height);
    if (!file.ignore(1).read(reinterpret_cast<char*>(planes.data() + start), width * height))
        throw std::runtime_error(path + ": cut short");
    return {height, width};
}

// The items of a list in the model card, which is JSON; these lists hold plain numbers, or names without commas.
std::vector<std::string> list_in(const std::string& card, const std::string& key) {
    std::smatch found;
    if (!std::regex_search(card, found, std::regex('"' + key + R"("\s*:\s*\[([^\]]*)\])"))) return {};
    const std::string list = found[1];
    const std::regex item(R"([^\s",][^",\n]*)");
    return {std::sregex_token_iterator(list.begin(), list.end(), item), {}};
}

int main(int count, char** arguments) try {
    if (count != 6) throw std::runtime_error("usage: label_sets MODEL RED GREEN BLUE YELLOW");
    std::vector<uint8_t> planes;
    const auto size = append_pgm(arguments[2], planes);
    for (int at = 3; at < count; ++at)
        if (append_pgm(arguments[at], planes) != size) throw std::runtime_error("the planes differ in size");
    Ort::Env environment;
    Ort::SessionOptions options;
    options.AddConfigEntry("session.x64quantprecision", "1");  // else int8 sums overflow on processors without VNNI
    Ort::Session session(environment, std::filesystem::path(arguments[1]).c_str(), options);
    const std::array<int64_t, 4> shape{1, 4, size[0], size[1]};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const auto input = Ort::Value::CreateTensor(memory, planes.data(), planes.size(), shape.data(), shape.size());
    const char *planes_name = "planes", *probabilities_name = "probabilities";
    const auto outputs = session.Run(Ort::RunOptions(), &planes_name, &input, 1, &probabilities_name, 1);
    const float* probabilities = outputs[0].GetTensorData<float>();
    Ort::AllocatorWithDefaultOptions allocator;
    const auto card = session.GetModelMetadata().LookupCustomMetadataMapAllocated("hpa_model_card", allocator);
    if (!card) throw std::runtime_error("the model carries no card");
    const auto labels = list_in(card.get(), "labels"), thresholds = list_in(card.get(), "thresholds");
    for (size_t at = 0; at < std::min(labels.size(), thresholds.size()); ++at)
        if (probabilities[at] >= std::stof(thresholds[at])) std::cout << labels[at] << ' ' << probabilities[at] << '\n';
} catch (const std::exception& error) {
    return std::cerr << error.what() << '\n', 2;
}
