/* Prints the Action Units of the faces in a picture (JPEG, PNG or BMP).
 *   read_aus WEIGHTS PICTURE [--registered] */
#include <sandglass.h>
#include <stdio.h>
#include <string.h>

static int fail(void) {
  fprintf(stderr, "read_aus: error: %s\n", sandglass_last_error());
  return 1;
}

static void print_face(const sandglass_model* model, const char* picture, int number, const sandglass_face* face) {
  const int aus = sandglass_au_count(model);
  printf("%s,%d", picture, number);
  for (int k = 0; k < aus; ++k) {
    printf(",%s=%.3f", sandglass_au_name(model, k), face->intensities[k]);
    if (face->places) printf(" at %.2f %.2f", face->places[2 * k], face->places[2 * k + 1]);
  }
  printf("\n");
}

int main(int count, char** arguments) {
  const int registered = count == 4 && strcmp(arguments[3], "--registered") == 0;
  if (count != 3 && !registered) {
    fprintf(stderr, "usage: read_aus WEIGHTS PICTURE [--registered]\n");
    return 2;
  }
  const char* name = arguments[2];

  sandglass_options options = sandglass_default_options();
  options.no_detection = registered; /* loading the detector takes half a second */
  sandglass_model* model = sandglass_model_open(arguments[1], &options);
  sandglass_context* context = model ? sandglass_context_open(model) : NULL;
  sandglass_picture* picture = context ? sandglass_picture_open(name) : NULL;
  int faces = -1;
  if (picture) {
    /* Pixels from elsewhere do as well: 8-bit RGB, with the bytes from one row to the next. */
    const size_t row_bytes = 3 * (size_t)picture->width;
    faces = registered ? sandglass_read_registered(context, picture->rgb, picture->height, picture->width, row_bytes)
                       : sandglass_read(context, picture->rgb, picture->height, picture->width, row_bytes);
  }
  for (int i = 0; i < faces; ++i) print_face(model, name, i, sandglass_face_at(context, i));
  const int code = faces < 0 ? fail() : 0;

  sandglass_picture_close(picture);
  sandglass_context_close(context);
  sandglass_model_close(model);
  return code;
}
