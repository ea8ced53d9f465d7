// Names the organelles in one field, with a model made by: python -m export onnx RUN -o model.onnx --raw-planes
//   dotnet run -- model.onnx red.pgm green.pgm blue.pgm yellow.pgm
using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.OnnxRuntime;

static class LabelSets
{
    static int Main(string[] arguments)
    {
        try
        {
            if (arguments.Length != 5) throw new ArgumentException("usage: LabelSets MODEL RED GREEN BLUE YELLOW");
            var planes = arguments.Skip(1).Select(ReadPgm).ToArray();
            var (height, width, _) = planes[0];
            if (planes.Any(plane => plane.Height != height || plane.Width != width))
                throw new InvalidDataException("the planes differ in size");
            var pixels = planes.SelectMany(plane => plane.Pixels).ToArray();

            using var options = new SessionOptions();
            options.AddSessionConfigEntry("session.x64quantprecision", "1"); // else int8 sums overflow without VNNI
            using var session = new InferenceSession(arguments[0], options);
            using var input = OrtValue.CreateTensorValueFromMemory(pixels, new long[] { 1, 4, height, width });
            using var runOptions = new RunOptions();
            using var outputs = session.Run(runOptions, new[] { "planes" }, new[] { input }, new[] { "probabilities" });
            var probabilities = outputs[0].GetTensorDataAsSpan<float>();

            using var card = JsonDocument.Parse(session.ModelMetadata.CustomMetadataMap["hpa_model_card"]);
            var labels = card.RootElement.GetProperty("labels");
            var thresholds = card.RootElement.GetProperty("thresholds");
            for (var at = 0; at < labels.GetArrayLength(); at++)
                if (probabilities[at] >= thresholds[at].GetSingle())
                    Console.WriteLine(FormattableString.Invariant($"{labels[at].GetString()} {probabilities[at]:g6}"));
            return 0;
        }
        catch (Exception error) // any error is printed in one line: this is the end of the program
        {
            Console.Error.WriteLine(error.Message);
            return 2;
        }
    }

    // Reads one 8-bit plane. A program that has its planes in memory does not need this.
    static (int Height, int Width, byte[] Pixels) ReadPgm(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var text = Encoding.GetEncoding("latin1").GetString(bytes);
        var header = Regex.Match(text, @"^P5\s+(?:#.*\n\s*)*(\d+)\s+(\d+)\s+255\s");
        if (!header.Success) throw new InvalidDataException($"{path}: no 8-bit PGM file");
        var (width, height) = (int.Parse(header.Groups[1].Value), int.Parse(header.Groups[2].Value));
        var pixels = bytes.AsSpan(header.Length);
        if (pixels.Length < checked(width * height)) throw new EndOfStreamException($"{path}: cut short");
        return (height, width, pixels.Slice(0, width * height).ToArray());
    }
}
