// Names the organelles in one field, with a model made by: python -m export onnx RUN -o model.onnx --raw-planes
//   dotnet run -- model.onnx red.pgm green.pgm blue.pgm yellow.pgm
using System.Text;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;

try
{
    if (args.Length != 5) throw new ArgumentException("usage: LabelSets MODEL RED GREEN BLUE YELLOW");
    var planes = args.Skip(1).Select(Plane.ReadPgm).ToArray();
    var (height, width) = (planes[0].Height, planes[0].Width);
    if (planes.Any(plane => plane.Height != height || plane.Width != width))
        throw new InvalidDataException("the planes differ in size");
    var pixels = planes.SelectMany(plane => plane.Pixels).ToArray();

    using var session = new InferenceSession(args[0]);
    using var input = OrtValue.CreateTensorValueFromMemory(pixels, new long[] { 1, 4, height, width });
    using var options = new RunOptions();
    using var outputs = session.Run(options, new[] { "planes" }, new[] { input }, new[] { "probabilities" });
    var probabilities = outputs[0].GetTensorDataAsSpan<float>();

    using var card = JsonDocument.Parse(session.ModelMetadata.CustomMetadataMap["hpa_model_card"]);
    var labels = card.RootElement.GetProperty("labels");
    var thresholds = card.RootElement.GetProperty("thresholds");
    for (var at = 0; at < labels.GetArrayLength(); at++)
        if (probabilities[at] >= thresholds[at].GetSingle())
            Console.WriteLine(FormattableString.Invariant($"{labels[at].GetString()} {probabilities[at]:g6}"));
    return 0;
}
catch (Exception error) // told in one line, whatever it is: this is the end of the program
{
    Console.Error.WriteLine(error.Message);
    return 2;
}

// One 8-bit plane. A program that has its planes in memory needs none of this.
record Plane(int Height, int Width, byte[] Pixels)
{
    public static Plane ReadPgm(string path)
    {
        using var file = new BinaryReader(File.OpenRead(path));
        var header = Enumerable.Range(0, 4).Select(_ => NextWord(file)).ToArray();
        if (header[0] != "P5" || header[3] != "255") throw new InvalidDataException($"{path}: no 8-bit PGM file");
        var (width, height) = (int.Parse(header[1]), int.Parse(header[2]));
        var pixels = file.ReadBytes(checked(width * height));
        if (pixels.Length < width * height) throw new EndOfStreamException($"{path}: cut short");
        return new Plane(height, width, pixels);
    }

    static string NextWord(BinaryReader file)
    {
        var word = new StringBuilder();
        var letter = (char)file.ReadByte();
        for (; word.Length == 0 || !char.IsWhiteSpace(letter); letter = (char)file.ReadByte())
            if (letter == '#' && word.Length == 0) while (file.ReadByte() != '\n') { }
            else if (!char.IsWhiteSpace(letter)) word.Append(letter);
        return word.ToString();
    }
}
